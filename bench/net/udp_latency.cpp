// Round trips of small UDP datagrams at a steady rate, as a game sends them.
//
//   udp_latency echo PORT                                  echoes until killed
//   udp_latency ping ADDRESS PORT RATE SECONDS [BYTES]     one JSON line: p50, p99, jitter, loss
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

std::int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

sockaddr_in address(const char* host, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, host, &a.sin_addr);
  return a;
}

int echo(int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in local = address("0.0.0.0", port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) return 1;
  char buffer[65536];
  for (;;) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t n =
        recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (n < 0) return 1;
    sendto(fd, buffer, static_cast<std::size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), length);
  }
}

void report(std::vector<double>& rtts, std::size_t sent) {
  double jitter = 0;
  for (std::size_t i = 1; i < rtts.size(); ++i) jitter += std::abs(rtts[i] - rtts[i - 1]);
  if (rtts.size() > 1) jitter /= static_cast<double>(rtts.size() - 1);
  std::sort(rtts.begin(), rtts.end());
  const auto at = [&](double q) {
    return rtts.empty() ? 0.0 : rtts[static_cast<std::size_t>(q * double(rtts.size() - 1))];
  };
  std::printf(
      "{\"sent\":%zu,\"received\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"jitter_us\":%.1f}\n", sent,
      rtts.size(), at(0.5), at(0.99), jitter);
}

int ping(const char* host, int port, double rate, double seconds, std::size_t size) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in to = address(host, port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return 1;
  const auto total = static_cast<std::size_t>(rate * seconds);
  const auto gap = static_cast<std::int64_t>(1e9 / rate);
  std::vector<std::int64_t> sent_at(total, 0);
  std::vector<double> rtts;
  rtts.reserve(total);
  std::vector<char> packet(std::max(size, sizeof(std::uint64_t)), 'x');
  const std::int64_t start = now_ns();
  const std::int64_t end = start + static_cast<std::int64_t>(total) * gap + 1'000'000'000LL;
  for (std::size_t next = 0; now_ns() < end && rtts.size() < total;) {
    const std::int64_t due = start + static_cast<std::int64_t>(next) * gap;
    if (next < total && now_ns() >= due) {
      const std::uint64_t number = next;
      std::memcpy(packet.data(), &number, sizeof number);
      sent_at[next++] = now_ns();
      if (send(fd, packet.data(), packet.size(), 0) < 0) continue;
    }
    const std::int64_t wait =
        (next < total ? start + static_cast<std::int64_t>(next) * gap : end) - now_ns();
    pollfd p{fd, POLLIN, 0};
    const timespec timeout{0, std::clamp<std::int64_t>(wait, 0, 100'000'000)};
    if (ppoll(&p, 1, &timeout, nullptr) <= 0) continue;
    char buffer[65536];
    while (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) >=
           static_cast<ssize_t>(sizeof(std::uint64_t))) {
      std::uint64_t number = 0;
      std::memcpy(&number, buffer, sizeof number);
      if (number < total && sent_at[number] != 0) {
        rtts.push_back(static_cast<double>(now_ns() - sent_at[number]) / 1000.0);
        sent_at[number] = 0;
      }
    }
  }
  report(rtts, total);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "echo" && argc == 3) return echo(std::atoi(argv[2]));
  if (mode == "ping" && (argc == 6 || argc == 7)) {
    const std::size_t size = argc == 7 ? std::strtoul(argv[6], nullptr, 10) : 100;
    return ping(argv[2], std::atoi(argv[3]), std::atof(argv[4]), std::atof(argv[5]), size);
  }
  std::fprintf(stderr, "usage: udp_latency echo PORT | ping ADDRESS PORT RATE SECONDS [BYTES]\n");
  return 2;
}
