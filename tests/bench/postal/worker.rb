# The same job as rewrite_bench --worker in the way Postal does it: the mail gem
# parses, regular expressions give every link a tracked one and the HTML a pixel,
# the gem writes. Tokens are a constant: no row is put into a database.
#
#	ruby worker.rb FILE...
require 'json'
require 'mail'
require 'uri'

TOKEN = 'Q' * 180
PIXEL = "<img src=\"https://t.example/o/#{TOKEN}.gif\" width=\"1\" height=\"1\" alt=\"\">"
$links = 0

def tracked(url)
  URI.parse(url)
  $links += 1
  "https://t.example/c/#{TOKEN}"
rescue URI::InvalidURIError
  url
end

def html(text)
  text.gsub!(/<a([^>]*?)\shref=(['"])(https?:[^'"]+)\2/i) { "<a#{$1} href=\"#{tracked($3.gsub('&amp;', '&'))}\"" }
  text.sub!(%r{</body>}i, "#{PIXEL}</body>") || text << PIXEL
  text
end

def plain(text)
  text.gsub(%r{https?://[^\s<>"]+}) { |url| tracked(url) }
end

def edit(part)
  if part.multipart?
    part.parts.each { |p| edit(p) }
  elsif part.mime_type == 'text/html' || part.mime_type == 'text/plain'
    job = part.mime_type == 'text/html' ? method(:html) : method(:plain)
    text = job.call(part.decoded.dup)
    part.content_transfer_encoding = '8bit' # the gem chooses anew when it writes
    part.body = text
  end
end

def rewrite(raw)
  mail = Mail.new(raw)
  edit(mail)
  mail.to_s
end

def cpu
  Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
end

$stdout.sync = true
messages = ARGV.map { |path| File.binread(path) }
messages.each do |m|
  made = rewrite(m)
  $stderr.write(made) if ENV['PEER_OUT']
end
puts JSON.generate(messages: messages.length, links: $links)
$stdin.each_line do |line|
  limit = line[/\Ago ([\d.]+)/, 1] or break
  start = cpu
  done = 0
  loop do
    messages.each { |m| rewrite(m) }
    done += messages.length
    break if cpu - start >= limit.to_f
  end
  puts JSON.generate(messages: done, cpu: cpu - start)
end
