#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include <array>

namespace ztna::base {
namespace {

TEST(Bytes, AreBigEndian) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), 0x0a0b0cfd);
  EXPECT_EQ(octets, (std::array<std::uint8_t, 4>{0x0a, 0x0b, 0x0c, 0xfd}));
  EXPECT_EQ(load_be32(octets.data()), 0x0a0b0cfdu);
  EXPECT_EQ(load_be16(octets.data() + 2), 0x0cfd);
  store_be16(octets.data(), 0xfffe);
  EXPECT_EQ(to_hex(octets), "fffe0cfd");
}

TEST(Bytes, ReadHexadecimalOfEitherCase) {
  std::array<std::uint8_t, 3> octets{};
  ASSERT_TRUE(from_hex("00fFaB", octets));
  EXPECT_EQ(octets, (std::array<std::uint8_t, 3>{0x00, 0xff, 0xab}));
}

TEST(Bytes, RefuseWhatIsNotExactlyThatMuchHexadecimal) {
  std::array<std::uint8_t, 2> octets{};
  for (const char* bad : {"", "000", "00000", "000000", "00g0", "0x00", " 000", "00:0"}) {
    EXPECT_FALSE(from_hex(bad, octets)) << bad;
  }
}

}  // namespace
}  // namespace ztna::base
