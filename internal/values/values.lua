-- Carries out one batch of changes of one writer, once.
--
-- KEYS[1]  the position: the number of the writer's newest batch that was carried out
-- KEYS[2…] the values
-- ARGV[1]  the batch's number; they count upwards
-- ARGV[2]  life of the position, in milliseconds
-- then for each value: the text to set it to, or '' not to set it; the number to add then
--
-- Answers, for each value that could not be changed, its number, from 1, and the error, in
-- turn. A batch that was carried out before is skipped.
local position, number, life = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local known = redis.call('GET', position)
if known and tonumber(known) >= number then
  return {}
end
-- Nothing may be changed if the position cannot be written: an error ends the script here.
redis.call('SET', position, known or '0', 'PX', life)

local failed = {}
for i = 2, #KEYS do
  local set, add, reply = ARGV[2 * i - 1], ARGV[2 * i], nil
  if set ~= '' then
    reply = redis.pcall('SET', KEYS[i], set)
  end
  if add ~= '0' and not (reply and reply.err) then
    reply = redis.pcall('INCRBY', KEYS[i], add)
    if type(reply) == 'table' and string.find(reply.err, 'not an integer', 1, true) then
      reply = redis.pcall('INCRBYFLOAT', KEYS[i], add)
    end
  end
  if type(reply) == 'table' and reply.err then
    failed[#failed + 1] = i - 1
    failed[#failed + 1] = reply.err
  end
end
redis.call('SET', position, string.format('%.0f', number), 'PX', life)
return failed
