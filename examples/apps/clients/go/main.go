// Archive HOST:PORT APP prints the app's lines that are new to the consumer group "archive".
//
// Redis stores the group's position. A line counts as read once it is acknowledged, after it was
// printed: a kill in between repeats it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/redis/rueidis"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("archive HOST:PORT APP")
	}
	if err := archive(context.Background(), os.Args[1], "logs:app:"+os.Args[2]+":info"); err != nil {
		log.Fatal(err)
	}
}

func archive(ctx context.Context, address, stream string) error {
	const group, consumer = "archive", "one"
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, SelectDB: 1, DisableCache: true})
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Do(ctx, c.B().XgroupCreate().Key(stream).Group(group).Id("0").Mkstream().Build()).Error()
	if err != nil && !strings.Contains(err.Error(), "BUSYGROUP") {
		return err
	}
	after := "0" // first the lines that were read before but not acknowledged
	for {
		read := c.B().Xreadgroup().Group(group, consumer).Count(100).Block(1000).Streams().Key(stream).Id(after).Build()
		streams, err := c.Do(ctx, read).AsXRead()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		entries := streams[stream]
		if after == "0" && len(entries) == 0 {
			after = ">"
		}
		for _, e := range entries {
			if e.FieldValues == nil { // trimmed before it was acknowledged
				log.Print(e.ID, " is gone")
			} else if _, err := fmt.Println(e.ID, e.FieldValues["message"]); err != nil {
				return err
			}
			if err := c.Do(ctx, c.B().Xack().Key(stream).Group(group).Id(e.ID).Build()).Error(); err != nil {
				return err
			}
		}
	}
}
