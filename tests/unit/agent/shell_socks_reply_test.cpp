#include "agent/shell_socks_reply.hpp"

#include <gtest/gtest.h>

namespace ztna::agent {
namespace {

using session::FlowEnd;
using wire::socks5::AddressType;
using wire::socks5::Destination;

std::string service(AddressType type, const std::string& host) {
  return service_of({type, host, 443}).value_or("(refused)");
}

TEST(SocksReply, NamesOfServicesAreReachable) {
  EXPECT_EQ(service(AddressType::domain, "web"), "web");
  EXPECT_EQ(service(AddressType::domain, "web.ztna"), "web");
  EXPECT_EQ(service(AddressType::domain, "Web.ZTNA"), "web");
  EXPECT_EQ(service(AddressType::domain, "web.ztna."), "web");
  EXPECT_EQ(service(AddressType::domain, "my-db-2.ztna"), "my-db-2");
}

TEST(SocksReply, NothingElseIs) {
  EXPECT_EQ(service(AddressType::v4, "127.0.0.1"), "(refused)");
  EXPECT_EQ(service(AddressType::v6, "::1"), "(refused)");
  for (const char* const host :
       {"127.0.0.1", "example.org", "web.ztna.org", "a.web.ztna", ".ztna", ".", "-web", "web_1",
        "web*", "web/..", "web.ztna..", "web.ztna.ztna"}) {
    EXPECT_EQ(service(AddressType::domain, host), "(refused)") << host;
  }
}

// The numbers are RFC 1928 §6's; which failure gets which stands in the header.
TEST(SocksReply, EachFailureHasItsCode) {
  const auto code = [](FlowEnd end) { return static_cast<int>(socks_reply(end)); };
  EXPECT_EQ(code(FlowEnd::denied), 2);
  EXPECT_EQ(code(FlowEnd::unavailable), 3);
  EXPECT_EQ(code(FlowEnd::session_lost), 3);
  EXPECT_EQ(code(FlowEnd::unknown_service), 4);
  EXPECT_EQ(code(FlowEnd::backend_unreachable), 4);
  EXPECT_EQ(code(FlowEnd::backend_refused), 5);
  EXPECT_EQ(code(FlowEnd::backend_timeout), 6);
  EXPECT_EQ(code(FlowEnd::timed_out), 6);
  EXPECT_EQ(code(FlowEnd::untrusted), 1);
  EXPECT_EQ(code(FlowEnd::quota), 1);
  EXPECT_EQ(code(FlowEnd::shutting_down), 1);
  EXPECT_EQ(code(FlowEnd::reset), 1);
}

}  // namespace
}  // namespace ztna::agent
