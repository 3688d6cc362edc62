-- Adds entries of one writer to one stream, each once, and stores the position.
--
-- KEYS[1]  the stream
-- KEYS[2]  the position: "<ordinal> <count>", the ordinal of the newest entry of this
--          writer that the stream has got, and how many it has got in all
-- ARGV[1]  the ordinal that the writer expects in the position, once the calls before this
--          one are carried out
-- ARGV[2]  MAXLEN ~ of the stream
-- ARGV[3]  life of the position, in milliseconds
-- then groups of entries with the same fields and consecutive ordinals:
--   ordinal of the first, number of entries, number of fields,
--   the fields: names and values in turn,
--   if the IDs are consecutive: milliseconds and sequence number of the first, then the
--   messages; else two empty texts, then the ID and message of each entry
--
-- Answers {ordinal, count, entries that got another ID, outcome, error reply or nil}.
-- The outcome is 1 if the position is below ARGV[1], and then nothing was added; 2 if the
-- position cannot be read or written, and if the last SET failed entries were added; else 0.
local stream, place = KEYS[1], KEYS[2]
local bound, life = ARGV[2], ARGV[3]

local known = redis.pcall('GET', place)
if type(known) == 'table' then
  return {0, 0, 0, 2, known.err}
end
local ordinal, count = 0, 0
if known then
  local o, c = string.match(known, '^(%d+) (%d+)$')
  ordinal, count = tonumber(o) or 0, tonumber(c) or 0
end
if ordinal < tonumber(ARGV[1]) then
  -- A replica that is promoted soon may still get what it lacks: it refuses to be written.
  local set = redis.pcall('SET', place, known or '0 0', 'PX', life)
  if set.err then
    return {ordinal, count, 0, 2, set.err}
  end
  return {ordinal, count, 0, 1, false}
end

-- No entry may be added whose position cannot be written. In older servers the only way to
-- check a right is to use it.
local may
if redis.acl_check_cmd then
  may = redis.acl_check_cmd('SET', place, '') or {err = 'NOPERM this user may not SET the position of its entries'}
else
  may = redis.pcall('SET', place, known or '0 0', 'PX', life)
end
if type(may) == 'table' and may.err then
  return {ordinal, count, 0, 2, may.err}
end

local pcall, args, unpack = redis.pcall, ARGV, unpack

-- The newest ID that the stream ever had, once it has refused one of ours: milliseconds as
-- text, and the sequence number.
local topms, topseq
local moved, failure = 0, false
local i, n = 4, #args
while i < n and not failure do
  local first, entries, fields = tonumber(args[i]), tonumber(args[i + 1]), tonumber(args[i + 2])
  local from, upto = i + 3, i + 2 + fields
  local ms, seq = args[upto + 1], tonumber(args[upto + 2])
  local base = upto + 3
  i = base + entries
  if not seq then
    i = i + entries
  end
  local k = math.min(math.max(ordinal - first + 1, 0), entries) -- entries that the stream has
  local had = k
  if seq and not topms and entries > 1 then
    -- The fast path, for most entries but lone ones. The call's last entry trims, so it is added below.
    -- Since Redis 7 '<ms>-*' is the ID behind the one that was just added.
    local stop = entries
    if i > n then
      stop = entries - 1
    end
    local after = redis.acl_check_cmd and ms .. '-*'
    local id = string.format('%s-%.0f', ms, seq + k)
    while k < stop do
      local reply
      if fields == 0 then
        reply = pcall('XADD', stream, id, 'message', args[base + k])
      else
        reply = pcall('XADD', stream, id, 'message', args[base + k], unpack(args, from, upto))
      end
      if reply.err then -- an ID, a string, has none; type() would be a call of C
        break
      end
      k = k + 1
      id = after or string.format('%s-%.0f', ms, seq + k)
    end
  end
  local past = false -- the stream is past the ID of the next entry
  while k < entries and not failure do
    local id, message, reply
    if seq then
      id, message = string.format('%s-%.0f', ms, seq + k), args[base + k]
    else
      id, message = args[base + 2 * k], args[base + 2 * k + 1]
    end
    -- Milliseconds with the same number of digits compare as text.
    past = past or topms and id < topms and string.byte(id, #topms + 1) == 45
    if past and not topms then
      local info = pcall('XINFO', 'STREAM', stream) -- an error has no fields
      for j = 1, #info, 2 do
        if info[j] == 'last-generated-id' then
          topms, topseq = string.match(info[j + 1], '^(%d+)-(%d+)$')
          topseq = tonumber(topseq)
          if topseq >= 9007199254740000 then -- too large for a Lua number: the next millisecond begins
            topms, topseq = string.format('%.0f', tonumber(topms) + 1), -1
          end
        end
      end
    end
    if past and topms then
      topseq = topseq + 1
      id = topms .. '-' .. string.format('%.0f', topseq)
    elseif past then
      id = '*' -- XINFO failed
    end
    if i > n and k == entries - 1 then
      reply = pcall('XADD', stream, 'MAXLEN', '~', bound, id, 'message', message, unpack(args, from, upto))
    else
      reply = pcall('XADD', stream, id, 'message', message, unpack(args, from, upto))
    end
    if not reply.err then
      k = k + 1
      if past then
        moved = moved + 1
      end
      past = false
    elseif not past and string.find(reply.err, 'equal or smaller', 1, true) then
      past = true -- once more, with another ID
    else
      failure = reply.err
    end
  end
  if k > had then
    ordinal, count = first + k - 1, count + k - had
  end
end

-- Also after a failure: the entries before it have landed.
local set = redis.pcall('SET', place, string.format('%.0f %.0f', ordinal, count), 'PX', life)
if set.err then
  return {ordinal, count, moved, 2, set.err}
end
return {ordinal, count, moved, 0, failure}
