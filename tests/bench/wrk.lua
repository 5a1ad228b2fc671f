-- What wrk measured, as JSON. Arguments after the URL: how many bytes to POST, how many headers to add.
function init(args)
   local post, headers = tonumber(args[1] or 0), tonumber(args[2] or 0)
   if post > 0 then
      wrk.method = "POST"
      wrk.body = string.rep("x", post)
   end
   for number = 1, headers do
      wrk.headers["X-Header-" .. number] = "the value of header " .. number
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %f, "bytes": %d, "errors": %d, "p50": %f, "p99": %f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
