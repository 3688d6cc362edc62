// Prints the same few lines with the loggers of the Node.js world, each behind the
// logger's name.
const { Writable } = require('stream')

function sink (name) {
  return new Writable({
    write (chunk, _, done) {
      for (const line of chunk.toString().split('\n')) if (line) process.stdout.write(`${name}\t${line}\n`)
      done()
    }
  })
}

function say (l, fatal) {
  l.debug('d')
  fatal ? l.info({ fps: 30 }, 'started') : l.info('started', { fps: 30 })
  l.warn('warm')
  l.error('gone')
  if (fatal) l.fatal('bad')
}

const pino = require('pino')
say(pino({ level: 'trace' }, sink('pino')), true)
say(pino({ level: 'trace', timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, sink('pino-iso')), true)
const { ecsFormat } = require('@elastic/ecs-pino-format')
say(pino({ ...ecsFormat(), level: 'trace' }, sink('ecs')), true)

const bunyan = require('bunyan')
say(bunyan.createLogger({ name: 'cam', streams: [{ level: 'trace', stream: sink('bunyan') }] }), true)

const winston = require('winston')
const f = winston.format
const winstons = (name, format) => say(winston.createLogger({ level: 'debug', format, transports: [new winston.transports.Stream({ stream: sink(name) })] }), false)
winstons('winston', f.combine(f.timestamp(), f.json()))
winstons('winston-simple', f.combine(f.timestamp(), f.simple()))
winstons('winston-printf', f.combine(f.timestamp(), f.printf((i) => `${i.timestamp} [${i.level.toUpperCase()}]: ${i.message}`)))
