#include "agent/catalog.hpp"

#include <gtest/gtest.h>

#include <set>

#include "node/timeouts.hpp"

namespace ztna::agent {
namespace {

using namespace std::chrono_literals;

const base::Time now{1000s};
const base::IncarnationId a{{1}}, b{{2}}, c{{3}};

node::proto::Directory web(const std::vector<std::pair<base::IncarnationId, bool>>& instances) {
  node::proto::Directory directory;
  auto& service = *directory.add_services();
  service.set_name("web");
  service.set_protocol(node::proto::PROTOCOL_TCP);
  service.set_port(80);
  for (const auto& [id, healthy] : instances) {
    auto& instance = *service.add_instances();
    instance.set_connector("spiffe://example.org/connector/home");
    instance.set_incarnation(id.octets.data(), id.octets.size());
    instance.set_healthy(healthy);
  }
  return directory;
}

struct Choice {
  const char* what;
  std::vector<std::pair<base::IncarnationId, bool>> instances;
  std::vector<Candidate> sessions;
  std::vector<base::IncarnationId> tried;
  std::optional<base::IncarnationId> last;
  std::vector<base::IncarnationId> penalised;
  std::optional<base::IncarnationId> expected;
};

TEST(Catalog, ChoosesByTheTable) {
  const Choice table[] = {
      {"nobody", {}, {}, {}, {}, {}, {}},
      {"the only one", {{a, true}}, {}, {}, {}, {}, a},
      {"healthy first", {{a, false}, {b, true}}, {{a, 1ms}}, {}, a, {}, b},
      {"unhealthy when nothing else is left", {{a, false}}, {}, {}, {}, {}, a},
      {"sticky", {{a, true}, {b, true}}, {{a, 1ms}, {b, 9ms}}, {}, b, {}, b},
      {"a penalty breaks the habit", {{a, true}, {b, true}}, {{b, 1ms}}, {}, b, {b}, a},
      {"a live session first", {{a, true}, {b, true}}, {{b, 50ms}}, {}, {}, {}, b},
      {"the nearest session", {{a, true}, {b, true}}, {{a, 9ms}, {b, 5ms}}, {}, {}, {}, b},
      {"tried ones never", {{a, true}, {b, true}}, {{a, 1ms}}, {a}, a, {}, b},
      {"tried ones never, even alone", {{a, true}}, {}, {a}, {}, {}, {}},
      {"penalised rather than unhealthy", {{a, false}, {b, true}}, {}, {}, {}, {b}, b},
  };
  for (const Choice& row : table) {
    Catalog catalog;
    catalog.update(0, web(row.instances));
    if (row.last) catalog.used("web", *row.last);
    for (const auto& id : row.penalised) catalog.penalise(id, "web", now);
    const auto chosen = catalog.choose("web", row.sessions, row.tried, 0, now);
    EXPECT_EQ(chosen ? std::optional(chosen->incarnation) : std::nullopt, row.expected) << row.what;
  }
}

TEST(Catalog, PenaltyEnds) {
  Catalog catalog;
  catalog.update(0, web({{a, true}, {b, true}}));
  catalog.used("web", a);
  catalog.penalise(a, "web", now);
  EXPECT_EQ(catalog.choose("web", {}, {}, 0, now)->incarnation, b);
  const base::Time later = now + node::timeouts::instance_penalty;
  EXPECT_EQ(catalog.choose("web", {}, {}, 0, later)->incarnation, a);
}

TEST(Catalog, APenaltyIsForTheServiceThatFailedOrForAll) {
  Catalog catalog;
  node::proto::Directory both = web({{a, true}, {b, true}});
  *both.add_services() = both.services(0);
  both.mutable_services(1)->set_name("mail");
  catalog.update(0, both);
  for (const char* service : {"web", "mail"}) catalog.used(service, a);
  const auto chosen = [&](const char* service) {
    return catalog.choose(service, {}, {}, 0, now)->incarnation;
  };
  catalog.penalise(a, "web", now);
  EXPECT_EQ(chosen("web"), b);
  EXPECT_EQ(chosen("mail"), a);
  catalog.penalise(a, {}, now);
  EXPECT_EQ(chosen("mail"), b);
}

TEST(Catalog, AgentsSpreadOverEqualInstances) {
  Catalog catalog;
  catalog.update(0, web({{a, true}, {b, true}, {c, true}}));
  std::set<base::IncarnationId> chosen;
  for (std::uint64_t spread = 0; spread < 64; ++spread) {
    chosen.insert(catalog.choose("web", {}, {}, spread, now)->incarnation);
  }
  EXPECT_GE(chosen.size(), 2u);
}

TEST(Catalog, MergesUplinksAndForgetsThemAgain) {
  Catalog catalog;
  catalog.update(0, web({{a, true}}));
  catalog.update(1, web({{b, true}}));
  EXPECT_EQ(catalog.find("web")->instances.size(), 2u);
  catalog.forget_uplink(0);
  ASSERT_EQ(catalog.find("web")->instances.size(), 1u);
  EXPECT_EQ(catalog.find("web")->instances[0].uplink, 1u);
  catalog.forget_uplink(1);
  EXPECT_EQ(catalog.find("web"), nullptr);
}

// What an Intermediate says is not trusted to be well formed.
TEST(Catalog, IgnoresMalformedEntries) {
  node::proto::Directory directory = web({{a, true}});
  auto& bad_name = *directory.add_services();
  bad_name.set_name("../etc");
  auto& bad_port = *directory.add_services();
  bad_port.set_name("ssh");
  bad_port.set_port(70000);
  directory.mutable_services(0)->add_instances()->set_incarnation("short");
  Catalog catalog;
  catalog.update(0, directory);
  EXPECT_EQ(catalog.services().size(), 1u);
  EXPECT_EQ(catalog.find("web")->instances.size(), 1u);
}

// A directory in parts counts when the last is there, and an unfinished one never does.
TEST(Catalog, TakesADirectoryInParts) {
  Catalog catalog;
  catalog.update(0, web({{c, true}}));
  node::proto::Directory first = web({{a, true}});
  first.set_more(true);
  catalog.update(0, first);
  ASSERT_EQ(catalog.find("web")->instances.size(), 1u);
  EXPECT_EQ(catalog.find("web")->instances[0].incarnation, c);
  catalog.update(0, web({{b, true}}));
  ASSERT_EQ(catalog.find("web")->instances.size(), 2u);
  EXPECT_EQ(catalog.find("web")->instances[0].incarnation, a);
  EXPECT_EQ(catalog.find("web")->instances[1].incarnation, b);
  catalog.update(0, first);
  catalog.forget_uplink(0);
  EXPECT_EQ(catalog.find("web"), nullptr);
  catalog.update(0, web({{b, true}}));
  EXPECT_EQ(catalog.find("web")->instances.size(), 1u);
}

}  // namespace
}  // namespace ztna::agent
