#include "policy/audit.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ztna::policy {
namespace {

TEST(Audit, WritesWhatIsThereInOrder) {
  AuditRecord record;
  record.time = {1767225599, 7};  // date -u -d @1767225599
  record.event = AuditEvent::flow_closed;
  record.agent = "alice";
  record.connector = "home-1";
  record.service = "web";
  record.protocol = "tcp";
  record.flow = 4;
  record.allowed = true;
  record.rule = "allow[1] at policy.toml:5";
  record.path = "RELAY";
  record.bytes_to_service = 78;
  record.bytes_to_agent = 18446744073709551615U;
  record.bytes_relayed = 90;
  record.duration = std::chrono::microseconds(1500);
  EXPECT_EQ(to_json_line(record),
            R"({"time":"2025-12-31T23:59:59.007Z","event":"flow_closed","agent":"alice",)"
            R"("connector":"home-1","service":"web","protocol":"tcp","flow":4,"verdict":"allow",)"
            R"("rule":"allow[1] at policy.toml:5","path":"RELAY","bytes_to_service":78,)"
            R"("bytes_to_agent":18446744073709551615,"bytes_relayed":90,"duration_ms":1.5})");
}

TEST(Audit, LeavesOutWhatIsUnknown) {
  AuditRecord record;
  record.event = AuditEvent::uplink;
  record.allowed = false;
  EXPECT_EQ(to_json_line(record),
            R"({"time":"1970-01-01T00:00:00.000Z","event":"uplink","verdict":"deny"})");
}

TEST(Audit, StaysOneLineOfJsonWhateverAPeerSays) {
  AuditRecord record;
  record.reason = "a\"b\\c\nd\r\x01\xff\xfe {}";
  const std::string line = to_json_line(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["reason"], "a\"b\\c\nd\r\x01\xef\xbf\xbd\xef\xbf\xbd {}");
}

}  // namespace
}  // namespace ztna::policy
