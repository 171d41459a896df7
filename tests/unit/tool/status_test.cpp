#include <gmock/gmock.h>

#include "tool/status_format.hpp"
#include "tool/status_view.hpp"
#include "tool/text_table.hpp"

namespace ztna::tool {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* agent_document = R"J({
  "role": "agent", "name": "alice", "trust_domain": "example.org", "version": "0.1.0 (AEAD: gnutls)",
  "pid": 7, "uptime_seconds": 3725, "phase": "running", "ready": true,
  "certificate": {"file": "alice/cert.pem", "days_left": 80},
  "uplinks": [{"intermediate": "relay.example.org:4433", "state": "up", "rtt_ms": 12.4,
               "observed_address": "192.0.2.7:50555", "last_error": "", "connects": 1}],
  "sessions": [{"id": "0123456789abcdef", "with": "spiffe://example.org/connector/home",
                "state": "ready", "path": "RELAY", "peer": "relay.example.org:4433", "rtt_ms": 0.31,
                "flows": 2, "packets_sent": 200, "packets_received": 300, "packets_lost": 1,
                "bytes_sent": 1500, "bytes_received": 2500000, "age_s": 65, "path_age_s": 60,
                "path_reason": "doubt",
                "switches": [{"from": "RELAY", "to": "DIRECT", "peer": "198.51.100.7:4434",
                              "reason": "proven", "rtt_ms": 0.2, "ago_s": 63.2},
                             {"from": "DIRECT", "to": "RELAY", "peer": "relay.example.org:4433",
                              "reason": "doubt", "rtt_ms": 0.31, "ago_s": 60.1}]}],
  "services": [{"name": "web", "protocol": "tcp", "port": 80,
                "instances": [{"connector": "spiffe://example.org/connector/home", "healthy": true},
                              {"connector": "spiffe://example.org/connector/far", "healthy": false}]},
               {"name": "mail", "protocol": "tcp", "port": 25, "instances": []}],
  "forwards": [{"listen": "tcp://127.0.0.1:8080", "service": "web", "connections": 2}],
  "socks": "127.0.0.1:1080",
  "flows": [{"id": 1, "service": "web", "bytes_to_service": 600, "bytes_to_agent": 1000, "age_s": 5},
            {"id": 2, "service": "web", "bytes_to_service": 600, "bytes_to_agent": 4000, "age_s": 90}],
  "failures": [{"service": "payroll", "reason": "denied", "detail": "default deny", "ago_s": 30}]
})J";

std::string view(const std::string& document) {
  const auto text = status_text(document);
  return text ? *text : "ERROR " + text.error().message();
}

TEST(StatusView, AgentOnOnePage) {
  EXPECT_EQ(
      view(agent_document),
      "agent alice of example.org: ready, up 1 h 2 m, version 0.1.0 (AEAD: gnutls), process 7\n"
      "  uplinks\n"
      "    INTERMEDIATE            STATE  RTT    SEEN AS          CONNECTS  LAST ERROR\n"
      "    relay.example.org:4433  up     12 ms  192.0.2.7:50555  1         -\n"
      "  sessions\n"
      "    WITH            STATE  PATH                              RTT      LOSS    SINCE  "
      "WHY    FLOWS  SENT / RECEIVED  ID\n"
      "    connector/home  ready  RELAY via relay.example.org:4433  0.31 ms  0.50 %  1 m    "
      "doubt  2      1.5 KB / 2.5 MB  01234567\n"
      "  path switches\n"
      "    WHEN     WITH            MOVE            PEER                    REASON  RTT\n"
      "    1 m ago  connector/home  DIRECT → RELAY  relay.example.org:4433  doubt   0.31 ms\n"
      "    1 m ago  connector/home  RELAY → DIRECT  198.51.100.7:4434       proven  0.20 ms\n"
      "  services\n"
      "    NAME  PROTOCOL  PORT  OFFERED BY                                 LOCAL ADDRESS\n"
      "    web   tcp       80    connector/home, connector/far (unhealthy)  -\n"
      "    mail  tcp       25    nobody offers it now                       -\n"
      "  forwards\n"
      "    LISTEN                   SERVICE  CONNECTIONS\n"
      "    tcp://127.0.0.1:8080     web      2\n"
      "    socks5://127.0.0.1:1080  any      -\n"
      "  last failures\n"
      "    WHEN      SERVICE  REASON  DETAIL\n"
      "    30 s ago  payroll  denied  default deny\n"
      "  open flows\n"
      "    SERVICE  FLOWS  TO SERVICE  TO AGENT  OLDEST\n"
      "    web      2      1.2 KB      5.0 KB    1 m\n");
}

TEST(StatusView, WhyADaemonIsNotReadyStandsInTheHeadline) {
  const std::string text = view(
      R"({"role":"connector","name":"home","trust_domain":"example.org","ready":false,
          "not_ready_reason":"no uplink","certificate":{"file":"cert.pem","days_left":3},
          "services":[{"name":"web","protocol":"tcp","backend":"127.0.0.1:80","healthy":false,
                       "refused":"policy: default deny","flows":0,"flows_total":9}],
          "listen":["0.0.0.0:4434","[::]:4434"]})");
  EXPECT_THAT(text, HasSubstr("connector home of example.org: NOT ready (no uplink)"));
  EXPECT_THAT(text, HasSubstr("WARNING: its certificate expires in 3 days (cert.pem)"));
  EXPECT_THAT(text, HasSubstr("web   tcp       127.0.0.1:80  UNHEALTHY, refused: policy: default "
                              "deny  0      9\n"));
  EXPECT_THAT(text, HasSubstr("uplinks: none\n"));
  EXPECT_THAT(text, HasSubstr("listens on 0.0.0.0:4434, [::]:4434\n"));
}

TEST(StatusView, IntermediateShowsItsRelayAndWhatItDropped) {
  const std::string text = view(
      R"({"role":"intermediate","name":"relay","trust_domain":"example.org","ready":true,
          "listen":["[::]:4433"],
          "uplinks":[{"uri":"spiffe://example.org/agent/alice","address":"192.0.2.7:50555",
                      "silent":false,"rtt_ms":8.04,"sessions":1,"services":[]}],
          "sessions":[{"id":"feedfacefeedface","agent":"spiffe://example.org/agent/alice",
                       "connector":"spiffe://example.org/connector/home","bound":true,
                       "packets":1234567,"bytes":999,"age_s":200000}],
          "relay":{"on":false,"packets":20,"bytes":2000,
                   "dropped":{"relay_off":7,"queue_full":0}}})");
  EXPECT_THAT(text, HasSubstr("relay: OFF, 20 packets, 2.0 KB, dropped 7 (relay_off)\n"));
  EXPECT_THAT(text, HasSubstr("agent/alice  192.0.2.7:50555  up     8.0 ms  1         -\n"));
  EXPECT_THAT(text,
              HasSubstr("agent/alice  connector/home  both ends   2 d 7 h  1,234,567  999 B   "
                        "feedface\n"));
}

TEST(StatusView, APeerCannotMoveTheCursor) {
  const std::string text = view(
      "{\"role\":\"agent\",\"failures\":[{\"service\":\"web\",\"reason\":\"closed\","
      "\"detail\":\"\\u001b[2Jgone\\nagent evil: ready\",\"ago_s\":1}]}");
  EXPECT_THAT(text, Not(HasSubstr("\033")));
  EXPECT_THAT(text, HasSubstr("\\x1b[2Jgone\\nagent evil: ready"));
}

TEST(StatusView, WrongTypesAreShownAsMissing) {
  const std::string text = view(
      R"({"role":"agent","name":{},"uplinks":7,"sessions":[{"with":[],"rtt_ms":"x"},5],
          "flows":{"a":1},"services":[null],"certificate":"none","uptime_seconds":-4})");
  EXPECT_THAT(text, HasSubstr("agent - of -: NOT ready (-), up 0 s"));
  EXPECT_THAT(text, HasSubstr("uplinks: none\n"));
  EXPECT_FALSE(status_text("[]"));
  EXPECT_FALSE(status_text("{"));
}

TEST(StatusView, LineIsTheSameDocument) {
  const auto line = status_line("{\n  \"b\": 1,\n  \"a\": [ 2 ]\n}\n");
  ASSERT_TRUE(line);
  EXPECT_EQ(*line, "{\"b\":1,\"a\":[2]}\n");
}

TEST(RelayView, SaysOnOrOffOrThatItCannotTell) {
  EXPECT_EQ(relay_text(R"({"on":true})").value_or(""), "relay: on\n");
  EXPECT_EQ(relay_text(R"({"on":false})").value_or(""), "relay: off\n");
  EXPECT_FALSE(relay_text(R"({"on":"yes"})"));
}

TEST(TextTable, AlignsWhatIsShownNotOctets) {
  EXPECT_EQ(text_table("> ", {{"ä", "x"}, {"bb", "y"}, {"c"}}), "> ä   x\n> bb  y\n> c\n");
}

TEST(Format, Quantities) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_octets(999), "999 B");
  EXPECT_EQ(format_octets(1000), "1.0 KB");
  EXPECT_EQ(format_octets(999'960), "1.0 MB");
  EXPECT_EQ(format_octets(2'000'000'000'000'000), "2000.0 TB");
  EXPECT_EQ(format_ms(0.314), "0.31 ms");
  EXPECT_EQ(format_ms(3.14), "3.1 ms");
  EXPECT_EQ(format_ms(314), "314 ms");
  EXPECT_EQ(format_ms(2500), "2.5 s");
  EXPECT_EQ(format_age(59), "59 s");
  EXPECT_EQ(format_age(3600), "1 h");
  EXPECT_EQ(format_age(90'000), "1 d 1 h");
}

}  // namespace
}  // namespace ztna::tool
