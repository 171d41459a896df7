#include "daemon/audit_log.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "workspace.hpp"

namespace ztna::daemon {
namespace {

// A file that may not grow stands for a full disk.
void limit_files(rlim_t size) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = size;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(AuditLog, ALineAfterHalfALineStandsAlone) {
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  const Workspace workspace;
  AuditLog log;
  ASSERT_TRUE(log.open(workspace.path("audit.jsonl")));
  log.append("one");
  limit_files(8);
  log.append("two-and-more");
  limit_files(RLIM_INFINITY);
  log.append("three");
  log.append("four");
  EXPECT_EQ(workspace.read("audit.jsonl"), "one\ntwo-\nthree\nfour\n");
  EXPECT_EQ(log.lines(), 3U);
  EXPECT_EQ(log.errors(), 1U);
  std::signal(SIGXFSZ, before);
}

}  // namespace
}  // namespace ztna::daemon
