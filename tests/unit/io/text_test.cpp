// The small text interfaces: metrics for Prometheus, messages for systemd.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "io/metrics.hpp"
#include "io/sd_notify.hpp"
#include "support.hpp"

namespace ztna::io {
namespace {

std::string example() {
  MetricsWriter out;
  out.family("ztna_relay_dropped_total", MetricType::counter, "Dropped, with a \\ and a\nbreak.");
  out.sample(3, {{"reason", "queue_full"}, {"peer", "a\"b\\c\nd"}});
  out.sample(std::numeric_limits<std::uint64_t>::max(), {{"reason", "policy"}, {"peer", ""}});
  out.family("ztna_rtt_seconds", MetricType::gauge, "Round-trip time.");
  out.sample_real(0.00025);
  out.family("ztna_expiry_seconds", MetricType::gauge, "Time left.");
  out.sample_real(std::numeric_limits<double>::infinity(), {{"kind", "root"}});
  out.sample_real(std::numeric_limits<double>::quiet_NaN(), {{"kind", "leaf"}});
  return out.text();
}

TEST(Metrics, FollowsTheExpositionFormat) {
  EXPECT_EQ(example(),
            "# HELP ztna_relay_dropped_total Dropped, with a \\\\ and a\\nbreak.\n"
            "# TYPE ztna_relay_dropped_total counter\n"
            "ztna_relay_dropped_total{reason=\"queue_full\",peer=\"a\\\"b\\\\c\\nd\"} 3\n"
            "ztna_relay_dropped_total{reason=\"policy\",peer=\"\"} 18446744073709551615\n"
            "# HELP ztna_rtt_seconds Round-trip time.\n"
            "# TYPE ztna_rtt_seconds gauge\n"
            "ztna_rtt_seconds 0.00025\n"
            "# HELP ztna_expiry_seconds Time left.\n"
            "# TYPE ztna_expiry_seconds gauge\n"
            "ztna_expiry_seconds{kind=\"root\"} +Inf\n"
            "ztna_expiry_seconds{kind=\"leaf\"} NaN\n");
}

// Prometheus's own checker reads it.
TEST(Metrics, PromtoolAgrees) {
  if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "promtool not installed";
  const auto verdict = [](const std::string& text) {
    FILE* tool = ::popen("promtool check metrics >/dev/null 2>&1", "w");
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), tool), text.size());
    return ::pclose(tool);
  };
  EXPECT_EQ(verdict(example()), 0);
  EXPECT_NE(verdict("ztna_bad{ 1\n"), 0) << "the checker must be able to say no";
}

struct NotifySocket {
  int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  explicit NotifySocket(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~NotifySocket() {
    ::unsetenv("NOTIFY_SOCKET");
    ::close(fd);
  }
  [[nodiscard]] std::string next() const {
    char text[256];
    const ssize_t got = ::recv(fd, text, sizeof text, MSG_DONTWAIT);
    return got < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(got));
  }
};

TEST(SdNotify, SpeaksToPathAndAbstractSockets) {
  char directory[] = "/tmp/ztna-sd-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/notify";
  for (const std::string& name : {path, "@ztna-test-" + std::to_string(::getpid())}) {
    const NotifySocket manager(name);
    EXPECT_TRUE(sd_ready("serving"));
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=serving");
    EXPECT_TRUE(sd_reloading());
    EXPECT_EQ(manager.next().rfind("RELOADING=1\nMONOTONIC_USEC=", 0), 0u);
    EXPECT_TRUE(sd_watchdog());
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    EXPECT_TRUE(sd_stopping());
    EXPECT_EQ(manager.next(), "STOPPING=1");
  }
  ::unlink(path.c_str());
  ::rmdir(directory);
}

TEST(SdNotify, DoesNothingWithoutAManager) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(sd_ready());
  ::setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
  EXPECT_FALSE(sd_ready());
  ::unsetenv("NOTIFY_SOCKET");
}

TEST(SdNotify, WatchdogIntervalIsHalfAndForThisProcessOnly) {
  ::unsetenv("WATCHDOG_USEC");
  EXPECT_FALSE(sd_watchdog_interval());
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(sd_watchdog_interval(), base::Duration(std::chrono::milliseconds(1500)));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_FALSE(sd_watchdog_interval());
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_FALSE(sd_watchdog_interval());
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace ztna::io
