// The packets of a world and what happened in between, line by line, for a person to read. Packets
// of one kind between the same two addresses that follow each other closely share a line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/time.hpp"

namespace ztna::sim {

// What a packet is, by its first octets: a check or its answer, or a kind of QUIC packet.
[[nodiscard]] std::string describe_packet(base::BytesView packet);

// Prints to standard output. Times are in seconds since the world began.
class PacketLog {
 public:
  explicit PacketLog(bool every_packet) : every_packet_(every_packet) {}
  ~PacketLog() { flush(); }
  PacketLog(const PacketLog&) = delete;
  PacketLog& operator=(const PacketLog&) = delete;

  struct Entry {
    std::string from, to;          // machines
    base::Address source, target;  // as they look outside
    std::string what;
    std::string fate;  // empty: on its way
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  void packet(base::Duration at, Entry entry, std::size_t size);
  void note(base::Duration at, const std::string& text);

 private:
  struct Line {
    Entry entry;
    base::Duration first{}, last{};
    std::uint64_t packets = 0, octets = 0;
  };
  static void print(const Line& line);
  void flush();

  bool every_packet_;
  std::vector<Line> lines_;  // in the order of their first packets
};

}  // namespace ztna::sim
