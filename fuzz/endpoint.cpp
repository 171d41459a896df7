// Datagrams of strangers, before any connection: whatever comes in, what goes back is smaller than
// it, so that a forged source address gains nothing (RFC 9000 §8.1, §10.3.3, §14.1).
#include "quic/endpoint.hpp"

#include "fuzz/input.hpp"

using namespace ztna;

namespace {

class Zeros final : public base::Random {
 public:
  void fill(base::MutableBytes out) override { std::fill(out.begin(), out.end(), 0); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Zeros random;
  quic::Endpoint::Keys keys;
  keys.retry.expose()[0] = 1;
  keys.reset.expose()[0] = 2;
  quic::Endpoint endpoint(std::move(keys), {}, random);
  const quic::Endpoint::Options options{.accept_new = (data[0] & 1) != 0,
                                        .require_retry = (data[0] & 2) != 0};
  base::Bytes datagram(data + 1, data + size);
  // Most of what is to be found is behind this length.
  if ((data[0] & 4) != 0 && datagram.size() < 1200) datagram.resize(1200);
  const auto from = base::Address::v4({192, 0, 2, 1}, 4433);
  const auto verdict = endpoint.classify(datagram, from, options, base::Time{base::Duration(1)});
  FUZZ_ASSERT(!std::holds_alternative<quic::Endpoint::Deliver>(verdict));
  if (const auto* reply = std::get_if<quic::Endpoint::Reply>(&verdict)) {
    FUZZ_ASSERT(!reply->packet.empty());
    FUZZ_ASSERT(reply->packet.size() < datagram.size());
  }
  if (const auto* fresh = std::get_if<quic::Endpoint::Accept>(&verdict)) {
    FUZZ_ASSERT(options.accept_new && datagram.size() >= 1200);
    FUZZ_ASSERT(!fresh->validated);  // nobody has a token
  }
  return 0;
}
