import java.nio.file.Files;
import java.nio.file.Path;
import java.util.logging.Formatter;
import java.util.logging.LogRecord;
import java.util.logging.SimpleFormatter;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.LogEvent;
import org.apache.logging.log4j.core.impl.Log4jLogEvent;
import org.apache.logging.log4j.core.layout.AbstractStringLayout;
import org.apache.logging.log4j.core.layout.JsonLayout;
import org.apache.logging.log4j.core.layout.PatternLayout;
import org.apache.logging.log4j.message.SimpleMessage;

/** Prints what Java's loggers print, a file each in the folder named. */
class Generate {
  static final String[] LEVELS = {"trace", "debug", "info", "warn", "error", "fatal"};

  static String text(String level) {
    return "speaks at " + level + ", \"quoted\" and café";
  }

  static String said(AbstractStringLayout layout) {
    var out = new StringBuilder();
    for (var level : LEVELS) {
      LogEvent event =
          Log4jLogEvent.newBuilder()
              .setLoggerName("camera.Sensor")
              .setLevel(Level.toLevel(level))
              .setMessage(new SimpleMessage(text(level)))
              .setThreadName("main")
              .setTimeMillis(System.currentTimeMillis())
              .build();
      out.append(layout.toSerializable(event).strip()).append("\n");
    }
    return out.toString();
  }

  static String pattern(String pattern) {
    return said(PatternLayout.newBuilder().withPattern(pattern).build());
  }

  static JsonLayout json(boolean millis) {
    return JsonLayout.newBuilder()
        .setConfiguration(new org.apache.logging.log4j.core.config.DefaultConfiguration())
        .setCompact(true)
        .setIncludeTimeMillis(millis)
        .setAdditionalFields(
            new org.apache.logging.log4j.core.util.KeyValuePair[] {
              new org.apache.logging.log4j.core.util.KeyValuePair("service", "own")
            })
        .build();
  }

  public static void main(String[] args) throws Exception {
    var folder = Path.of(args[0]);
    Files.writeString(folder.resolve("log4j.log"), said(json(false)) + said(json(true)));
    Files.writeString(
        folder.resolve("log4j-pattern.log"),
        pattern("%d %-5p [%t] %c{1} - %m%n") + pattern("%d{ISO8601} [%t] %-5level %logger{36} - %msg%n"));
    Files.writeString(
        folder.resolve("log4j-pattern-timeless.log"),
        pattern("%d{HH:mm:ss.SSS} [%t] %-5level %logger{36} - %msg%n"));
    System.setProperty(
        "java.util.logging.SimpleFormatter.format", "%1$tF %1$tT.%1$tL %4$s %3$s: %5$s%n");
    var out = new StringBuilder();
    Formatter formatter = new SimpleFormatter();
    for (var level : new String[] {"FINE debug", "INFO info", "WARNING warn", "SEVERE error"}) {
      var words = level.split(" ");
      var record = new LogRecord(java.util.logging.Level.parse(words[0]), text(words[1]));
      record.setLoggerName("camera.Sensor");
      out.append(formatter.format(record));
    }
    Files.writeString(folder.resolve("java-util-logging.log"), out);
  }
}
