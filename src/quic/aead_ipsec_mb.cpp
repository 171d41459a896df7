#include "quic/aead.hpp"

#ifdef ZTNA_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <string.h>  // explicit_bzero

#include <array>
#include <cstring>

#include "base/secret.hpp"

namespace ztna::quic {
namespace {

// The manager is used as a table of functions for this CPU; all state is in the keys.
class IpsecMbPacketKey final : public PacketKey {
 public:
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): gcm128_pre() does
  IpsecMbPacketKey(const IMB_MGR& functions, const std::uint8_t* key) : functions_(functions) {
    functions_.gcm128_pre(key, &key_);
  }
  ~IpsecMbPacketKey() override { explicit_bzero(&key_, sizeof key_); }

  bool seal(std::uint8_t* out, base::BytesView plaintext, const std::uint8_t* nonce,
            base::BytesView associated) override {
    gcm_context_data context;  // NOLINT(cppcoreguidelines-pro-type-member-init): output only
    functions_.gcm128_enc(&key_, &context, out, plaintext.data(), plaintext.size(), nonce,
                          associated.data(), associated.size(), out + plaintext.size(),
                          aead_tag_length);
    return true;
  }

  bool open(std::uint8_t* out, base::BytesView sealed, const std::uint8_t* nonce,
            base::BytesView associated) override {
    if (sealed.size() < aead_tag_length) return false;
    const base::BytesView tag = sealed.last(aead_tag_length);
    const std::size_t size = sealed.size() - aead_tag_length;
    // The library computes the tag and leaves comparing it to us.
    std::array<std::uint8_t, aead_tag_length> computed{};
    gcm_context_data context;  // NOLINT(cppcoreguidelines-pro-type-member-init): output only
    functions_.gcm128_dec(&key_, &context, out, sealed.data(), size, nonce, associated.data(),
                          associated.size(), computed.data(), computed.size());
    return base::equal_constant_time(tag, computed);
  }

 private:
  const IMB_MGR& functions_;
  gcm_key_data key_;
};

class IpsecMbHeaderKey final : public HeaderKey {
 public:
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): keyexp_128() does
  IpsecMbHeaderKey(const IMB_MGR& functions, const std::uint8_t* key) : functions_(functions) {
    std::array<std::uint8_t, schedule_size> decryption{};
    functions_.keyexp_128(key, schedule_.data(), decryption.data());
    explicit_bzero(decryption.data(), decryption.size());
  }
  ~IpsecMbHeaderKey() override { explicit_bzero(schedule_.data(), schedule_.size()); }

  bool mask(std::uint8_t* out, const std::uint8_t* sample) override {
    // CFB over zeros is AES(iv).
    static constexpr std::array<std::uint8_t, header_mask_length> zeros{};
    functions_.aes128_cfb_one(out, zeros.data(), sample, schedule_.data(), header_mask_length);
    return true;
  }

 private:
  static constexpr std::size_t schedule_size = 11 * 16;
  const IMB_MGR& functions_;
  alignas(16) std::array<std::uint8_t, schedule_size> schedule_;
};

class IpsecMbBackend final : public AeadBackend {
 public:
  explicit IpsecMbBackend(const IMB_MGR& functions) : functions_(functions) {}
  std::string_view name() const override { return "ipsec-mb"; }
  std::unique_ptr<PacketKey> packet_key(const std::uint8_t* key) const override {
    return std::make_unique<IpsecMbPacketKey>(functions_, key);
  }
  std::unique_ptr<HeaderKey> header_key(const std::uint8_t* key) const override {
    return std::make_unique<IpsecMbHeaderKey>(functions_, key);
  }

 private:
  const IMB_MGR& functions_;
};

// Null when this CPU lacks the wide instructions that make the library worth having.
const IMB_MGR* functions_for_this_cpu() {
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) return nullptr;
  constexpr std::uint64_t wanted = IMB_FEATURE_AVX2 | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
  if ((manager->features & wanted) != wanted) {
    free_mb_mgr(manager);
    return nullptr;
  }
  IMB_ARCH chosen = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager, &chosen);
  return manager;  // lives as long as the process
}

}  // namespace

const AeadBackend* ipsec_mb_backend() {
  static const IMB_MGR* const functions = functions_for_this_cpu();
  if (functions == nullptr) return nullptr;
  static const IpsecMbBackend backend(*functions);
  return &backend;
}

}  // namespace ztna::quic

#else

namespace ztna::quic {
const AeadBackend* ipsec_mb_backend() { return nullptr; }
}  // namespace ztna::quic

#endif
