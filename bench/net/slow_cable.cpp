// A long cable: frames leave at the other interface a fixed time after they came in at the one.
//
//   slow_cable INTERFACE INTERFACE MILLISECONDS      prints "joined", then forwards until killed
//
// In a network namespace of its own. Packet sockets with the header of virtio carry what a batch is
// to be cut into, so offloads stay on and the cable is not what a transfer waits for.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t largest = 128UL * 1024;     // a batch of 64 KiB and its headers
constexpr std::size_t room = 64UL * 1024 * 1024;  // 20 ms of 25 Gbit/s
constexpr int socket_buffer = 32 * 1024 * 1024;   // while the other direction is served
constexpr std::size_t frames_a_turn = 64;

int open_port(const std::string& name) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
  const int on = 1;
  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ETH_P_ALL);
  local.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  const bool good =
      fd >= 0 && local.sll_ifindex != 0 &&
      setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) == 0 &&
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &socket_buffer, sizeof socket_buffer) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &socket_buffer, sizeof socket_buffer) == 0 &&
      bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0;
  if (!good) std::perror(name.c_str());
  return good ? fd : -1;
}

class Direction {
 public:
  Direction(int from, int to, Clock::duration delay) : from_(from), to_(to), delay_(delay) {}

  void take() {
    for (std::size_t i = 0; i < frames_a_turn; ++i) {
      const ssize_t size = recv(from_, buffer_.data(), buffer_.size(), 0);
      if (size <= 0) return;
      const auto length = static_cast<std::size_t>(size);
      if (waiting_ + length > room) continue;  // as the buffer of any line does
      waiting_ += length;
      frames_.push_back({Clock::now() + delay_, {buffer_.data(), buffer_.data() + length}});
    }
  }

  void give(Clock::time_point now) {
    while (!frames_.empty() && frames_.front().due <= now) {
      const std::vector<char>& data = frames_.front().data;
      if (send(to_, data.data(), data.size(), 0) < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return;
      waiting_ -= data.size();
      frames_.pop_front();
    }
  }

  [[nodiscard]] Clock::time_point due() const {
    return frames_.empty() ? Clock::time_point::max() : frames_.front().due;
  }

 private:
  struct Frame {
    Clock::time_point due;
    std::vector<char> data;  // the header of virtio, and the frame
  };

  int from_;
  int to_;
  Clock::duration delay_;
  std::size_t waiting_ = 0;
  std::deque<Frame> frames_;
  std::vector<char> buffer_ = std::vector<char>(largest);
};

// At least 1 us: a port that has no room is asked again then.
timespec until(Clock::time_point due, Clock::time_point now) {
  using namespace std::chrono_literals;
  const auto wait = due == Clock::time_point::max()
                        ? Clock::duration(1s)
                        : std::clamp<Clock::duration>(due - now, 1us, 1s);
  const auto ns = std::chrono::nanoseconds(wait).count();
  return {ns / 1'000'000'000, ns % 1'000'000'000};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: slow_cable INTERFACE INTERFACE MILLISECONDS\n");
    return 2;
  }
  const std::array<int, 2> ports{open_port(argv[1]), open_port(argv[2])};
  if (ports[0] < 0 || ports[1] < 0) return 1;
  const auto delay = std::chrono::microseconds(static_cast<long>(1000 * std::atof(argv[3])));
  std::array<Direction, 2> ways{Direction{ports[0], ports[1], delay},
                                Direction{ports[1], ports[0], delay}};
  std::puts("joined");
  std::fflush(stdout);
  for (;;) {
    const auto now = Clock::now();
    for (Direction& way : ways) way.give(now);
    const timespec wait = until(std::min(ways[0].due(), ways[1].due()), Clock::now());
    std::array<pollfd, 2> polled{pollfd{ports[0], POLLIN, 0}, pollfd{ports[1], POLLIN, 0}};
    ppoll(polled.data(), polled.size(), &wait, nullptr);
    for (Direction& way : ways) way.take();
  }
}
