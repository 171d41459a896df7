// The octets of one stream between write() and their acknowledgement. ngtcp2 keeps pointers into
// them for retransmission, so they never move: chunks of fixed size, freed at the front.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.hpp"

namespace ztna::quic {

inline constexpr std::size_t chunk_size = 16 * 1024;

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): 16 KiB that append() fills
struct Chunk {
  Chunk* next = nullptr;
  std::array<std::uint8_t, chunk_size> octets;
};

// Free chunks of one connection: bulk transfer takes and returns one for every dozen packets.
class ChunkPool {
 public:
  ChunkPool() = default;
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool() { trim(); }

  [[nodiscard]] Chunk* take();
  void give(Chunk* chunk);
  void trim();  // frees all that is pooled
  // Chunks that are in use. When it falls to 0 the pool empties itself: an idle connection holds
  // none.
  [[nodiscard]] std::size_t in_use() const { return in_use_; }

 private:
  Chunk* free_ = nullptr;
  std::size_t in_use_ = 0;
};

class SendBuffer {
 public:
  explicit SendBuffer(ChunkPool& pool) : pool_(&pool) {}
  SendBuffer(const SendBuffer&) = delete;
  SendBuffer& operator=(const SendBuffer&) = delete;
  ~SendBuffer() { clear(); }

  void append(base::BytesView data);
  // Octets held: unsent ones and those awaiting acknowledgement.
  [[nodiscard]] std::size_t size() const { return tail_ - head_; }
  [[nodiscard]] std::size_t unsent() const { return tail_ - sent_; }

  // The next unsent octets, in at most two pieces; enough for a packet unless the buffer ends.
  struct Pieces {
    std::array<ngtcp2_vec, 2> vec{};
    std::size_t count = 0;
    std::size_t size = 0;
  };
  [[nodiscard]] Pieces next() const;
  void sent(std::size_t size);
  // The oldest `size` octets will not be needed again.
  void acknowledged(std::size_t size);
  // Forgets octets that were never sent.
  void drop_unsent();

 private:
  void clear();

  ChunkPool* pool_;
  Chunk* first_ = nullptr;  // holds the octet at head_
  Chunk* last_ = nullptr;
  Chunk* cursor_ = nullptr;  // holds the octet at sent_, when there is one
  // Stream offsets; a chunk begins at each multiple of chunk_size.
  std::uint64_t head_ = 0, sent_ = 0, tail_ = 0;
};

}  // namespace ztna::quic
