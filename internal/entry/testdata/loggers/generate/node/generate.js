// Prints what Node's loggers print, a file each in the folder named:
// npm install && node generate.js ../..
const fs = require('fs');
const path = require('path');
const { Writable } = require('stream');
const pino = require('pino');
const bunyan = require('bunyan');
const winston = require('winston');
const ecsPino = require('@elastic/ecs-pino-format');
const ecsWinston = require('@elastic/ecs-winston-format');

const text = (level) => `speaks at ${level}, "quoted" and café`;

function file(name) {
  const out = path.join(process.argv[2], name + '.log');
  fs.writeFileSync(out, '');
  return new Writable({
    write(chunk, _, done) {
      fs.appendFileSync(out, chunk);
      done();
    },
  });
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

let to = file('pino');
for (const options of [
  {},
  { timestamp: pino.stdTimeFunctions.isoTime },
  { timestamp: pino.stdTimeFunctions.unixTime },
  { formatters: { level: (label) => ({ level: label }) }, messageKey: 'message' },
]) {
  const log = pino({ level: 'trace', base: { pid: 77, hostname: 'host' }, ...options }, to);
  for (const level of levels) log[level]({ sensor: 3, run: null, nested: { a: [1, 2] } }, text(level));
}

to = file('ecs-pino');
const ecs = pino({ level: 'trace', ...ecsPino.ecsFormat(), base: { pid: 77, hostname: 'host' } }, to);
for (const level of levels) ecs[level]({ sensor: 3, service: 'own' }, text(level));

const log = bunyan.createLogger({ name: 'camera', hostname: 'host', streams: [{ level: 'trace', stream: file('bunyan') }] });
for (const level of levels) log[level]({ sensor: 3, source: 'own' }, text(level));

function winstons(name, format) {
  const levels = { error: 'error', warn: 'warn', info: 'info', http: 'debug', verbose: 'debug', debug: 'debug', silly: 'debug' };
  const log = winston.createLogger({ level: 'silly', format, transports: [new winston.transports.Stream({ stream: file(name) })] });
  for (const [level, means] of Object.entries(levels)) log[level](text(means), { sensor: 3, service: 'own' });
}

const f = winston.format;
winstons('winston-timeless', f.json());
winstons('winston', f.combine(f.colorize(), f.timestamp(), f.json()));
winstons('winston-simple-timeless', f.simple());
winstons('winston-simple-colour-timeless', f.combine(f.colorize(), f.simple()));
winstons('ecs-winston', ecsWinston.ecsFormat());
winstons('winston-printf', f.combine(f.timestamp(), f.printf((i) => `${i.timestamp} [${i.level}]: ${i.message}`)));
