#include "nat/behaviour.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinds.hpp"

namespace ztna::nat {
namespace {

using base::Address;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Address here = at("192.168.1.7:50000");
// What the NAT may show.
const Address x = at("203.0.113.5:50000"), y = at("203.0.113.5:50001"), z = at("203.0.113.5:7");

struct Case {
  std::vector<std::pair<Address, Address>> seen;  // server, mapped
  Dependence mapping;
};

class Mapping : public testing::TestWithParam<Case> {};

TEST_P(Mapping, IsToldFromWhatServersSaw) {
  Observations observations;
  for (const auto& [server, mapped] : GetParam().seen) {
    observations.mappings.push_back({0, here, server, mapped});
  }
  EXPECT_EQ(classify(observations).mapping, GetParam().mapping);
}

// RFC 5780 §4.3, and what remains of it with fewer addresses.
INSTANTIATE_TEST_SUITE_P(
    All, Mapping,
    testing::Values(Case{{}, Dependence::unknown}, Case{{{a1, x}}, Dependence::unknown},
                    Case{{{a1, here}}, Dependence::none},
                    Case{{{a1, here}, {b2, here}}, Dependence::none},
                    Case{{{a1, x}, {a2, x}, {b1, x}, {b2, x}}, Dependence::endpoint_independent},
                    Case{{{a1, x}, {b1, x}}, Dependence::endpoint_independent},
                    Case{{{a1, x}, {a2, x}, {b1, y}, {b2, y}}, Dependence::address_dependent},
                    Case{{{a1, x}, {a2, y}, {b1, z}}, Dependence::address_and_port_dependent},
                    Case{{{a1, x}, {a2, y}}, Dependence::address_and_port_dependent},
                    Case{{{a1, x}, {a2, x}}, Dependence::independent_or_address_dependent},
                    Case{{{a1, x}, {b1, y}}, Dependence::address_or_port_dependent}));

TEST(Behaviour, ComparesOnlyWhatOneSocketSaw) {
  Observations observations;
  observations.mappings = {{0, here, a1, x}, {1, at("192.168.1.7:50001"), a2, y}};
  EXPECT_EQ(classify(observations).mapping, Dependence::unknown);
}

TEST(Behaviour, APublicAddressBehindAnotherMappingIsNoNatOnlyIfAllAgree) {
  Observations observations;
  observations.mappings = {{0, here, a1, here}, {0, here, b1, x}};
  EXPECT_NE(classify(observations).mapping, Dependence::none);
}

struct FilterCase {
  std::vector<FilterSeen> seen;
  Dependence filtering;
};
class Filtering : public testing::TestWithParam<FilterCase> {};

TEST_P(Filtering, IsToldFromWhoseAnswersCame) {
  Observations observations;
  observations.filters = GetParam().seen;
  EXPECT_EQ(classify(observations).filtering, GetParam().filtering);
}

FilterSeen both(bool answered) { return {a1, true, true, answered}; }
FilterSeen port(bool answered) { return {a1, false, true, answered}; }
FilterSeen ip(bool answered) { return {a1, true, false, answered}; }

// RFC 5780 §4.4.
INSTANTIATE_TEST_SUITE_P(
    All, Filtering,
    testing::Values(FilterCase{{}, Dependence::unknown},
                    FilterCase{{both(true), port(true)}, Dependence::endpoint_independent},
                    FilterCase{{both(false), port(true)}, Dependence::address_dependent},
                    FilterCase{{both(false), port(false)}, Dependence::address_and_port_dependent},
                    FilterCase{{port(true)}, Dependence::independent_or_address_dependent},
                    FilterCase{{port(false)}, Dependence::address_and_port_dependent},
                    FilterCase{{ip(true)}, Dependence::endpoint_independent},
                    FilterCase{{ip(false)}, Dependence::address_or_port_dependent}));

TEST(Behaviour, HasTheNamesThatPeopleKnow) {
  using enum Dependence;
  const auto name = [](Dependence mapping, Dependence filtering) {
    return common_name(behaviour(mapping, filtering));
  };
  EXPECT_EQ(name(endpoint_independent, endpoint_independent), "full cone NAT");
  EXPECT_EQ(name(endpoint_independent, address_dependent), "restricted cone NAT");
  EXPECT_EQ(name(endpoint_independent, address_and_port_dependent), "port-restricted cone NAT");
  EXPECT_EQ(name(endpoint_independent, independent_or_address_dependent),
            "full or restricted cone NAT");
  EXPECT_EQ(name(address_dependent, address_dependent), "symmetric NAT");
  EXPECT_EQ(name(address_and_port_dependent, endpoint_independent), "symmetric NAT");
  EXPECT_EQ(name(independent_or_address_dependent, address_and_port_dependent),
            "port-restricted cone NAT, or symmetric by address");
  EXPECT_EQ(name(none, endpoint_independent), "no NAT, open to all");
  EXPECT_EQ(name(none, address_and_port_dependent), "no NAT, port-dependent firewall");
  EXPECT_EQ(name(unknown, address_and_port_dependent), "unknown");
}

TEST(Behaviour, NamesWhatOneServerAddressCannotTell) {
  Observations observations;
  observations.mappings = {{0, here, a1, x}, {0, here, a2, x}};
  observations.filters = {port(true)};
  EXPECT_THAT(classify(observations).open_questions,
              ElementsAre(HasSubstr("address-dependent mapping: needs a second address"),
                          HasSubstr("address-dependent filtering: needs an Intermediate with a "
                                    "second address")));
  observations.mappings.push_back({0, here, b1, x});
  observations.filters = {port(true), both(false)};
  EXPECT_THAT(classify(observations).open_questions, IsEmpty());
}

TEST(Behaviour, TellsWhetherPortsAreKept) {
  Observations observations;
  observations.mappings = {{0, here, a1, x}, {0, here, b1, x}};
  EXPECT_EQ(classify(observations).preserves_ports, true);
  observations.mappings.push_back({0, here, b2, y});
  EXPECT_EQ(classify(observations).preserves_ports, false);
  observations.mappings = {{0, here, a1, here}};
  EXPECT_EQ(classify(observations).preserves_ports, std::nullopt);
}

TEST(Behaviour, HairpinIsAQuestionForNatsOnly) {
  Observations observations;
  observations.hairpin = true;
  observations.mappings = {{0, here, a1, x}};
  EXPECT_EQ(classify(observations).hairpins, true);
  observations.mappings = {{0, here, a1, here}};
  EXPECT_EQ(classify(observations).hairpins, std::nullopt);
}

TEST(Behaviour, SuspectsACarriersNat) {
  const auto suspected = [](const char* own, std::vector<const char*> mapped) {
    Observations observations;
    for (const char* each : mapped) observations.mappings.push_back({0, at(own), a1, at(each)});
    return classify(observations).carrier_grade;
  };
  EXPECT_FALSE(suspected("192.168.1.7:5", {"203.0.113.5:5", "203.0.113.5:6"}));
  EXPECT_TRUE(suspected("192.168.1.7:5", {"203.0.113.5:5", "203.0.113.6:5"}));
  EXPECT_TRUE(suspected("192.168.1.7:5", {"100.64.0.1:5"}));
  EXPECT_TRUE(suspected("100.127.255.254:5", {"203.0.113.5:5"}));
  EXPECT_FALSE(suspected("100.64.0.1:5", {"100.64.0.1:5"}));  // no NAT: the net is one's own
  EXPECT_FALSE(suspected("100.128.0.1:5", {"203.0.113.5:5"}));
  EXPECT_FALSE(suspected("100.63.255.255:5", {"203.0.113.5:5"}));
}

}  // namespace
}  // namespace ztna::nat
