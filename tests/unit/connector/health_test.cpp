#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "connector/shell_health.hpp"

namespace ztna::connector {
namespace {

// Until `done()`; false after ten seconds, which only a failing test waits for.
bool run_until(io::Loop& loop, const std::function<bool()>& done) {
  const base::Time give_up = io::Loop::now() + std::chrono::seconds(10);
  io::Timer wake(loop, [] {});
  while (!done()) {
    if (io::Loop::now() >= give_up) return false;
    wake.set(give_up);
    loop.run_one();
  }
  return true;
}

io::TcpListener listen(io::Loop& loop) {
  return std::move(io::TcpListener::bind(loop, base::Address::v4({127, 0, 0, 1}, 0), {},
                                         [](io::TcpStream, const base::Address&) {})
                       .value());
}

TEST(HealthCheck, SaysWhatItFinds) {
  io::Loop loop;
  std::optional<io::TcpListener> backend = listen(loop);
  const base::HostPort at{"127.0.0.1", backend->local_address().port()};
  std::vector<bool> verdicts;
  const auto keep = [&](bool healthy) { verdicts.push_back(healthy); };
  HealthCheck up(loop, at, keep);
  ASSERT_TRUE(run_until(loop, [&] { return !verdicts.empty(); }));
  EXPECT_TRUE(verdicts.back());
  backend.reset();
  verdicts.clear();
  HealthCheck down(loop, at, keep);
  ASSERT_TRUE(run_until(loop, [&] { return !verdicts.empty(); }));
  EXPECT_FALSE(verdicts.back());
}

// What this process lacks says nothing about the backend.
TEST(HealthCheck, KeepsItsVerdictWhileThisProcessHasNoDescriptors) {
#ifdef ZTNA_SANITIZED_UNDEFINED
  GTEST_SKIP() << "the sanitizers need descriptors themselves; the dev preset runs this";
#endif
  io::Loop loop;
  const io::TcpListener backend = listen(loop);
  rlimit normal{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &normal), 0);
  const int next = ::socket(AF_INET, SOCK_STREAM, 0);  // the lowest that is free
  ASSERT_GE(next, 0);
  ::close(next);
  rlimit tight = normal;
  tight.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  std::vector<bool> verdicts;
  HealthCheck check(loop, {"127.0.0.1", backend.local_address().port()},
                    [&](bool healthy) { verdicts.push_back(healthy); });
  bool later = false;
  io::Timer after(loop, [&] { later = true; });
  after.set(io::Loop::now() + HealthCheck::retry / 2);
  EXPECT_TRUE(run_until(loop, [&] { return later; }));
  EXPECT_TRUE(verdicts.empty());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &normal), 0);
  ASSERT_TRUE(run_until(loop, [&] { return !verdicts.empty(); })) << "it never looked again";
  EXPECT_TRUE(verdicts.back());
}

}  // namespace
}  // namespace ztna::connector
