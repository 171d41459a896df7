// The frame in a real process: signals, sockets, files.
#include "daemon/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/http_client.hpp"
#include "workspace.hpp"

namespace ztna::daemon {
namespace {

using identity::Role;
using testing::HasSubstr;

class FrameTest : public testing::Test {
 protected:
  void SetUp() override { workspace_.issue(Role::intermediate, "relay", 90); }

  std::unique_ptr<Frame> make() {
    auto frame = Frame::create(workspace_.options());
    EXPECT_TRUE(frame) << (frame ? "" : frame.error().message());
    return frame ? std::move(*frame) : nullptr;
  }
  io::HttpResponse health(const Frame& frame, const std::string& target) const {
    io::HttpClientRequest request;
    request.tcp = {"127.0.0.1", frame.health_address()->port()};
    request.target = target;
    return get(request);
  }
  io::HttpResponse control(const std::string& target, const std::string& method = "GET") const {
    io::HttpClientRequest request;
    request.unix_socket = workspace_.path("run/intermediate.sock");
    request.method = method;
    request.target = target;
    return get(request);
  }
  // Status 0 when there was no answer.
  static io::HttpResponse get(const io::HttpClientRequest& request) {
    auto response = io::http_request(request);
    EXPECT_TRUE(response) << (response ? "" : response.error().message());
    io::HttpResponse none;
    none.status = 0;
    return response ? *response : none;
  }

  Workspace workspace_;
};

// Runs `frame` here while `people` do their part on a thread, then stops it as a signal does.
template <class People>
int run_with(Frame& frame, Callbacks callbacks, People people) {
  std::thread thread([&] {
    people();
    kill(getpid(), SIGTERM);
  });
  const int code = frame.run(std::move(callbacks));
  thread.join();
  return code;
}

TEST_F(FrameTest, ServesHealthReadinessAndMetrics) {
  const auto frame = make();
  ASSERT_TRUE(frame);
  Readiness readiness{false, "no uplink"};
  Callbacks callbacks;
  callbacks.ready = [&] { return readiness; };
  callbacks.metrics = [](io::MetricsWriter& out) {
    out.family("ztna_sessions", io::MetricType::gauge, "Sessions.");
    out.sample(7);
  };
  const int code = run_with(*frame, std::move(callbacks), [&] {
    EXPECT_EQ(health(*frame, "/healthz").status, 200U);
    const io::HttpResponse before = health(*frame, "/readyz");
    EXPECT_EQ(before.status, 503U);
    EXPECT_EQ(before.body, "not ready: no uplink\n");
    frame->loop().post([&] { readiness = {true, {}}; });
    EXPECT_EQ(health(*frame, "/readyz").status, 200U);
    const std::string metrics = health(*frame, "/metrics").body;
    EXPECT_THAT(metrics, HasSubstr("ztna_sessions 7\n"));
    EXPECT_THAT(metrics, HasSubstr("ztna_ready 1\n"));
    EXPECT_THAT(metrics, HasSubstr("ztna_build_info{version=\"1.2.3\",role=\"intermediate\"} 1\n"));
    EXPECT_THAT(metrics, HasSubstr("ztna_certificate_not_after_seconds "));
    EXPECT_EQ(health(*frame, "/v1/status").status, 404U);
  });
  EXPECT_EQ(code, 0);
}

TEST_F(FrameTest, ServesStatusAndRoutesOnThePrivateSocket) {
  const auto frame = make();
  ASSERT_TRUE(frame);
  frame->route("POST", "/v1/relay", [](const io::HttpRequest& request) {
    return io::HttpResponse{.status = 200, .body = std::string(request.param("state"))};
  });
  Callbacks callbacks;
  callbacks.status = [] { return nlohmann::json{{"uplinks", 3}}; };
  run_with(*frame, std::move(callbacks), [&] {
    const auto status = nlohmann::json::parse(control("/v1/status").body);
    EXPECT_EQ(status["role"], "intermediate");
    EXPECT_EQ(status["name"], "relay");
    EXPECT_EQ(status["trust_domain"], "example.org");
    EXPECT_EQ(status["ready"], true);
    EXPECT_EQ(status["uplinks"], 3);
    EXPECT_THAT(status["certificate"]["days_left"].get<int>(), testing::AnyOf(89, 90));
    EXPECT_EQ(control("/v1/relay?state=off", "POST").body, "off");
    struct stat info{};
    EXPECT_EQ(stat(workspace_.path("run/intermediate.sock").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_EQ(stat(workspace_.path("run").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
  });
}

TEST_F(FrameTest, DrainsBeforeItEnds) {
  const auto frame = make();
  ASSERT_TRUE(frame);
  std::function<void()> finish;
  Callbacks callbacks;
  callbacks.on_drain = [&](std::function<void()> done) { finish = std::move(done); };
  std::thread people([&] {
    kill(getpid(), SIGTERM);
    io::HttpResponse readiness;
    do {
      readiness = health(*frame, "/readyz");
    } while (readiness.status == 200);
    EXPECT_EQ(readiness.body, "not ready: draining\n");
    frame->loop().post([&] { finish(); });
  });
  EXPECT_EQ(frame->run(std::move(callbacks)), 0);
  people.join();
}

TEST_F(FrameTest, SecondSignalEndsAtOnce) {
  const auto frame = make();
  ASSERT_TRUE(frame);
  Callbacks callbacks;
  callbacks.on_drain = [](const std::function<void()>&) { kill(getpid(), SIGINT); };
  EXPECT_EQ(run_with(*frame, std::move(callbacks), [] {}), 1);
}

TEST_F(FrameTest, DrainThatHangsIsCutOff) {
  FrameOptions options = workspace_.options();
  options.drain_limit = std::chrono::milliseconds(20);
  auto frame = Frame::create(std::move(options));
  ASSERT_TRUE(frame);
  Callbacks callbacks;
  callbacks.on_drain = [](const std::function<void()>&) {};
  EXPECT_EQ(run_with(**frame, std::move(callbacks), [] {}), 0);
}

TEST_F(FrameTest, HangupReloadsAndReopensTheAuditLog) {
  const auto frame = make();
  ASSERT_TRUE(frame);
  policy::AuditRecord record;
  record.agent = "alice";
  frame->audit(record);
  std::filesystem::rename(workspace_.path("audit.jsonl"), workspace_.path("audit.old"));
  workspace_.issue(Role::intermediate, "relay-2", 90);
  Callbacks callbacks;
  callbacks.on_reload = [&](const Trust& trust) {
    EXPECT_EQ(trust.credentials->self().name, "relay-2");
    record.agent = "bob";
    frame->audit(record);
    kill(getpid(), SIGTERM);
  };
  std::thread people([] { kill(getpid(), SIGHUP); });
  EXPECT_EQ(frame->run(std::move(callbacks)), 0);
  people.join();
  EXPECT_EQ(frame->trust().credentials->self().name, "relay-2");
  EXPECT_EQ(nlohmann::json::parse(workspace_.read("audit.old"))["agent"], "alice");
  EXPECT_EQ(nlohmann::json::parse(workspace_.read("audit.jsonl"))["agent"], "bob");
}

TEST_F(FrameTest, FailedReloadChangesNothing) {
  const auto frame = make();
  ASSERT_TRUE(frame);
  workspace_.issue(Role::intermediate, "relay-2", 90);
  workspace_.write("policy.toml", "nonsense");
  Callbacks callbacks;
  callbacks.on_reload = [](const Trust&) { ADD_FAILURE() << "reloaded half"; };
  run_with(*frame, std::move(callbacks), [&] {
    kill(getpid(), SIGHUP);
    std::string metrics;
    do {
      metrics = health(*frame, "/metrics").body;
    } while (metrics.find("ztna_reloads_total{result=\"failed\"} 1") == std::string::npos);
    EXPECT_THAT(metrics, HasSubstr("ztna_reloads_total{result=\"ok\"} 0"));
  });
  EXPECT_EQ(frame->trust().credentials->self().name, "relay");
  EXPECT_EQ(frame->trust().policy->counts().allow, 1U);
}

TEST_F(FrameTest, FailedStartNamesTheFlagAndLeavesNothing) {
  const auto first = make();
  ASSERT_TRUE(first);
  FrameOptions options = workspace_.options();
  options.common.health = first->health_address();
  options.common.control = workspace_.path("run/second.sock");
  options.common.audit_log = workspace_.path("second.jsonl");
  auto second = Frame::create(options);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), testing::StartsWith("--health: "));
  options.common.health.reset();
  options.common.control = workspace_.path("run/intermediate.sock");
  second = Frame::create(options);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), testing::StartsWith("--control: "));
  EXPECT_FALSE(std::filesystem::exists(workspace_.path("second.jsonl")));
  options.common.control = workspace_.path("run/second.sock");
  options.common.audit_log = workspace_.path("no/such/folder");
  second = Frame::create(options);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("no/such/folder: cannot be opened"));
  EXPECT_FALSE(std::filesystem::exists(workspace_.path("run/second.sock")));
  // The first one was never disturbed.
  EXPECT_TRUE(std::filesystem::exists(workspace_.path("run/intermediate.sock")));
}

TEST_F(FrameTest, WarnsOfACertificateThatIsAboutToExpire) {
  for (const auto& [days, warned] : {std::pair{14, true}, std::pair{16, false}}) {
    workspace_.issue(Role::intermediate, "relay", days);
    const auto frame = make();
    ASSERT_TRUE(frame);
    testing::internal::CaptureStderr();
    run_with(*frame, {}, [] {});
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(log.find("Certificate expires soon") != std::string::npos, warned) << log;
  }
}

TEST(Settle, GivesExitCodes) {
  using Parsed = config::Parsed<config::AgentOptions>;
  testing::internal::CaptureStderr();
  const base::Result<Parsed> wrong =
      base::fail(base::ErrorCode::invalid_argument, "bad\nvalue", "--x");
  EXPECT_EQ(settle("ztna-agent", wrong), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "ztna-agent: --x: bad\\nvalue\n");
  Parsed help;
  help.print = "text\n";
  testing::internal::CaptureStdout();
  EXPECT_EQ(settle("ztna-agent", base::Result<Parsed>(help)), 0);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "text\n");
  EXPECT_EQ(settle("ztna-agent", base::Result<Parsed>(Parsed{})), std::nullopt);
}

}  // namespace
}  // namespace ztna::daemon
