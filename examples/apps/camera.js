#!/usr/bin/env node
const { execFileSync } = require("child_process");
const fs = require("fs");

// Node has no datagram sockets in the file system; systemd-notify comes with systemd.
function notify(state) {
  if (process.env.NOTIFY_SOCKET) execFileSync("systemd-notify", [state]);
}

function capture(frame, sensor) {
  console.log(`frame ${frame} of sensor ${sensor.number}{{frames}}{{__healthpool__frames_beats}}`);
}

console.log("camera starts{{temperature:42}}");
console.error("WARNING: sensor is warm");
notify("READY=1");
let frame = 0;
setInterval(() => {
  capture(++frame, fs.existsSync("crash") ? undefined : { number: 1 });
  notify("WATCHDOG=1");
}, 100);
