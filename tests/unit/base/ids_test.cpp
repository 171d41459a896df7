#include "base/ids.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace ztna::base {
namespace {

class Counting : public Random {
 public:
  void fill(MutableBytes out) override {
    for (auto& octet : out) octet = next_++;
  }

 private:
  std::uint8_t next_ = 0;
};

TEST(Ids, AreDrawnFromTheirSource) {
  Counting random;
  const auto first = SessionId::make(random);
  EXPECT_EQ(first.hex(), "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(first.short_hex(), "00010203");
  EXPECT_NE(SessionId::make(random), first);
}

TEST(Ids, ReadExactlySixteenOctets) {
  const Bytes octets(17, 0xab);
  SessionId id;
  EXPECT_FALSE(SessionId::from(BytesView(octets), id));
  EXPECT_FALSE(SessionId::from(BytesView(octets).first(15), id));
  EXPECT_EQ(id, SessionId{});
  EXPECT_TRUE(SessionId::from(BytesView(octets).first(16), id));
  EXPECT_EQ(id.short_hex(), "abababab");
}

TEST(Ids, OfDifferentThingsDoNotMix) {
  static_assert(!std::is_convertible_v<SessionId, IncarnationId>);
  static_assert(!std::is_constructible_v<IncarnationId, SessionId>);
}

}  // namespace
}  // namespace ztna::base
