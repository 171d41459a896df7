// Probes through a fake flow, asked for over a real control socket.
#include "agent/shell_quality.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "io/http_client.hpp"
#include "unit/agent/shell_fake_flows.hpp"
#include "unit/io/support.hpp"

namespace ztna::agent {
namespace {

class QualityTest : public testing::Test {
 protected:
  QualityTest()
      : flows(loop), probes(loop, flows, [](FlowId) { return nullptr; }), server(loop, {}) {
    server.route_async("GET", "/v1/quality",
                       [this](const io::HttpRequest& request, const io::HttpReply& reply) {
                         probes.ask(request, reply);
                       });
    if (const auto bound = server.listen(io::testing::loopback())) at = *bound;
  }

  io::HttpResponse get(const std::string& query) {
    io::HttpClientRequest request;
    request.tcp = {at.ip(), at.port()};
    request.target = "/v1/quality?" + query;
    base::Result<io::HttpResponse> answer = tl::unexpected(base::Error{});
    std::atomic<bool> over = false;
    std::thread client([&] {
      answer = io::http_request(request);
      over = true;
      loop.post([] {});
    });
    EXPECT_TRUE(io::testing::run_until(loop, [&] { return over.load(); }));
    client.join();
    return answer ? *answer : io::HttpResponse{0, "", ""};
  }

  io::Loop loop;
  FakeFlows flows;
  QualityProbes probes;
  io::HttpServer server;
  base::Address at;
};

TEST_F(QualityTest, EveryProbeIsTold) {
  const auto answer = get("service=quake&count=5&interval_ms=2&size=200");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  const auto json = nlohmann::json::parse(answer.body);
  ASSERT_EQ(json["probes"].size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(json["probes"][i]["rtt_ms"].is_number());
    EXPECT_GE(json["probes"][i]["at_ms"], 2.0 * static_cast<double>(i));
  }
  EXPECT_FALSE(json.contains("error"));
  EXPECT_EQ(flows.opened, std::vector<std::string>{"echo quake"});
  EXPECT_EQ(flows.finished, 1u) << "the flow stayed open";
}

TEST_F(QualityTest, WhatDoesNotComeBackIsLost) {
  flows.swallow = 2;  // every second one
  const auto json = nlohmann::json::parse(get("service=quake&count=4&interval_ms=2").body);
  ASSERT_EQ(json["probes"].size(), 4u);
  int lost = 0;
  for (const auto& probe : json["probes"]) lost += probe["rtt_ms"].is_null() ? 1 : 0;
  EXPECT_EQ(lost, 2);
}

TEST_F(QualityTest, ARefusedFlowHasAReason) {
  flows.failing["payroll"] = FlowEnd::denied;
  const auto json = nlohmann::json::parse(get("service=payroll").body);
  EXPECT_EQ(json["error"], "denied");
  EXPECT_TRUE(json["probes"].empty());
}

TEST_F(QualityTest, NonsenseIsRefused) {
  for (const char* query :
       {"", "service=Not%20a%20name", "service=web&count=0", "service=web&count=1001",
        "service=web&count=5x", "service=web&interval_ms=1", "service=web&size=7",
        "service=web&size=1401"}) {
    EXPECT_EQ(get(query).status, 400u) << query;
  }
  EXPECT_TRUE(flows.opened.empty());
}

}  // namespace
}  // namespace ztna::agent
