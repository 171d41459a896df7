#include "tool/netcheck_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "addresses.hpp"

namespace ztna::tool {
namespace {

using namespace std::chrono_literals;
using base::Address;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const Address a1 = at("192.0.2.1:4433"), a2 = at("192.0.2.1:4435"), b1 = at("192.0.2.9:4433");
const Address local = at("192.168.7.2:5000");

// A port-restricted cone behind which one server was silent.
NetcheckResult home() {
  NetcheckResult result;
  result.intermediates = {{"relay.example.org", 4433}};
  nat::SurveyReport& report = result.v4.report;
  result.v4.servers = {a1};
  report.primary = a1;
  for (const Address& server : {a1, a2, b1}) {
    report.asked.push_back({server, at("203.0.113.5:5000"), 12ms});
    report.seen.mappings.push_back({0, local, server, at("203.0.113.5:5000")});
  }
  report.asked.push_back({at("192.0.2.9:4435"), std::nullopt, std::nullopt});
  report.seen.filters = {{a1, true, true, false}, {a1, false, true, false}};
  report.seen.hairpin = false;
  report.mtu = 1420;
  report.too_large = 1440;
  report.lifetime = nat::MappingLifetime{29s, 35s};
  result.lifetime_asked = true;
  return result;
}

TEST(NetcheckText, TellsWhatWasFoundAndWhatToExpect) {
  const std::string text = netcheck_text(home());
  EXPECT_THAT(text, StartsWith("IPv4: UDP works\n"));
  for (const char* const part :
       {"public address  203.0.113.5\n", "this machine    192.168.7.2\n",
        "kind            port-restricted cone NAT\n", "mapping         endpoint-independent\n",
        "filtering       address-and-port-dependent\n", "keeps ports     yes\n",
        "hairpins        no\n", "1420 octets go both ways in one piece, 1440 do not\n",
        "between 29 and 35 s of silence\n", "192.0.2.9:4433  203.0.113.5:5000  12 ms\n",
        "192.0.2.9:4435  no answer\n", "symmetric NAT              Expect the relay",
        "port-restricted cone NAT   Expect a direct path.",
        "IPv6: no Intermediate has an address of this kind\n"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(NetcheckText, NamesWhatCouldNotBeTold) {
  NetcheckResult result = home();
  nat::SurveyReport& report = result.v4.report;
  report.seen.mappings.resize(2);
  report.seen.filters.clear();
  report.seen.hairpin.reset();
  report.mtu.reset();
  report.lifetime.reset();
  const std::string text = netcheck_text(result);
  EXPECT_THAT(text, HasSubstr("needs a second address of the Intermediate"));
  EXPECT_THAT(text, HasSubstr("could not tell what is filtered"));
  EXPECT_THAT(text, HasSubstr("hairpins        could not be told\n"));
  EXPECT_THAT(text, HasSubstr("could not be told (the server returns no padding)"));
  EXPECT_THAT(text, HasSubstr("could not be told (the server knows no RESPONSE-PORT)"));
  result.lifetime_asked = false;
  EXPECT_THAT(netcheck_text(result), HasSubstr("not measured (--binding-lifetime)"));
}

TEST(NetcheckText, SaysWhyThereIsNoUdp) {
  NetcheckResult result;
  result.v4.servers = {a1};
  result.v4.report.asked.push_back({a1, std::nullopt, std::nullopt});
  result.v6.servers = {at("[2001:db8::1]:4433")};
  result.v6.machine_has = false;
  EXPECT_FALSE(result.udp());
  EXPECT_EQ(netcheck_text(result),
            "IPv4: UDP: no answer\n\n"
            "  asked           saw us as  RTT\n"
            "  192.0.2.1:4433  no answer\n\n"
            "IPv6: this machine has no address of this kind\n");
}

TEST(NetcheckJson, HasEveryFindingOnOneLine) {
  const std::string line = netcheck_json(home());
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["udp"], true);
  const auto& v4 = json["ipv4"];
  EXPECT_EQ(v4["kind"], "port-restricted cone NAT");
  EXPECT_EQ(v4["mtu"], 1420);
  EXPECT_EQ(v4["binding_lifetime"]["less_than_s"], 35);
  EXPECT_EQ(v4["asked"][3]["mapped"], nullptr);
  EXPECT_EQ(v4["asked"][0]["rtt_ms"], 12.0);
  EXPECT_EQ(v4["hairpins"], false);
  EXPECT_EQ(json["ipv6"]["udp"], false);
  EXPECT_EQ(json["ipv6"]["why"], "no Intermediate has an address of this kind");
}

// The form that the deployment plan asks for.
TEST(NetcheckRecord, IsASectionOfMarkdown) {
  const NetcheckRecord record{.name = "Home", .router = "Netgear R7000", .at = {0}};
  const std::string text = netcheck_record(home(), record);
  EXPECT_THAT(text, StartsWith("\n## Home\n- Router: Netgear R7000\n- Date: 1970-01-01T00:00:00"));
  EXPECT_THAT(text, HasSubstr("- IPv4 QAD ports (3 tests, by STUN): 5000, 5000, 5000 (consistent = "
                              "not symmetric)\n"));
  EXPECT_THAT(text, HasSubstr("- Hole punch success: not tried"));
  EXPECT_THAT(text, HasSubstr("symmetric NAT: relay"));
}

TEST(NetcheckRecord, SaysHowManySessionsAreDirect) {
  EXPECT_THAT(netcheck_record(home(), {.at = {0}, .sessions = 3, .direct_sessions = 2}),
              HasSubstr("- Hole punch success: 2 of 3 live sessions direct\n"));
}

TEST(NetcheckRecord, TellsDifferentPortsFromTheSame) {
  NetcheckResult result = home();
  for (std::size_t i = 0; i < 3; ++i) {
    const Address mapped = at("203.0.113.5:1").with_port(static_cast<std::uint16_t>(7000 + i));
    result.v4.report.asked[i].mapped = mapped;
    result.v4.report.seen.mappings[i].mapped = mapped;
  }
  EXPECT_THAT(netcheck_record(result, {.at = {0}}),
              testing::AllOf(HasSubstr("7000, 7001, 7002 (differ = symmetric)"),
                             StartsWith("\n## Network of 203.0.113.5\n- Router: not told\n")));
}

TEST(NetcheckRecord, ALineBreakInANameMakesNoHeading) {
  EXPECT_THAT(netcheck_record(home(), {.name = "Home\n## Other", .at = {0}}),
              Not(HasSubstr("\n## Other")));
}

}  // namespace
}  // namespace ztna::tool
