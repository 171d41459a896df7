#include "sim/packet_log.hpp"

#include <algorithm>
#include <cstdio>

#include "wire/stun.hpp"

namespace ztna::sim {
namespace {

// Packets that are no further apart than this may share a line: a burst, less than a round trip.
constexpr base::Duration together = std::chrono::milliseconds(20);

double seconds(base::Duration time) { return base::to_ms(time) / 1000; }

std::string endpoint(const std::string& name, const base::Address& address) {
  return name + " " + address.to_string();
}

}  // namespace

std::string describe_packet(base::BytesView packet) {
  if (packet.empty()) return "empty";
  if (wire::stun::is_stun(packet)) {
    const auto message = wire::stun::Message::parse(packet);
    if (!message) return "broken STUN";
    return message->message_class() == wire::stun::Class::request ? "check" : "answer to a check";
  }
  if ((packet[0] & 0x80) == 0) return "1-RTT or reset";
  static constexpr const char* names[] = {"Initial", "0-RTT", "Handshake", "Retry"};
  return names[packet[0] >> 4 & 3];
}

void PacketLog::packet(base::Duration at, Entry entry, std::size_t size) {
  if (every_packet_) return print({std::move(entry), at, at, 1, size});
  if (!lines_.empty() && at - lines_.front().first > together) flush();
  const auto found = std::ranges::find(lines_, entry, &Line::entry);
  if (found == lines_.end()) {
    lines_.push_back({std::move(entry), at, at, 1, size});
    return;
  }
  found->last = at;
  ++found->packets;
  found->octets += size;
}

void PacketLog::note(base::Duration at, const std::string& text) {
  flush();
  std::printf("%11.6f  # %s\n", seconds(at), text.c_str());
}

void PacketLog::flush() {
  for (const Line& line : lines_) print(line);
  lines_.clear();
}

void PacketLog::print(const Line& line) {
  const Entry& entry = line.entry;
  std::printf("%11.6f  %-31s -> %-31s %6llu  %s", seconds(line.first),
              endpoint(entry.from, entry.source).c_str(), endpoint(entry.to, entry.target).c_str(),
              static_cast<unsigned long long>(line.octets), entry.what.c_str());
  if (line.packets > 1) {
    std::printf(" x %llu until %.6f", static_cast<unsigned long long>(line.packets),
                seconds(line.last));
  }
  std::printf("%s%s\n", entry.fate.empty() ? "" : "  -- ", entry.fate.c_str());
}

}  // namespace ztna::sim
