#include "quic/send_buffer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ztna::quic {

Chunk* ChunkPool::take() {
  ++in_use_;
  if (free_ == nullptr) return new Chunk;  // uninitialised octets on purpose
  Chunk* chunk = free_;
  free_ = chunk->next;
  chunk->next = nullptr;
  return chunk;
}

void ChunkPool::give(Chunk* chunk) {
  chunk->next = free_;
  free_ = chunk;
  if (--in_use_ == 0) trim();
}

void ChunkPool::trim() {
  while (free_ != nullptr) delete std::exchange(free_, free_->next);
}

void SendBuffer::append(base::BytesView data) {
  while (!data.empty()) {
    const std::size_t at = tail_ % chunk_size;
    if (at == 0) {
      Chunk* chunk = pool_->take();
      (last_ != nullptr ? last_->next : first_) = chunk;
      last_ = chunk;
    }
    if (sent_ == tail_) cursor_ = last_;
    const std::size_t size = std::min(data.size(), chunk_size - at);
    std::memcpy(last_->octets.data() + at, data.data(), size);
    tail_ += size;
    data = data.subspan(size);
  }
}

SendBuffer::Pieces SendBuffer::next() const {
  Pieces pieces;
  std::uint64_t at = sent_;
  for (Chunk* chunk = cursor_; at < tail_ && pieces.count < pieces.vec.size();
       chunk = chunk->next) {
    const std::size_t offset = at % chunk_size;
    const std::size_t size = std::min<std::uint64_t>(chunk_size - offset, tail_ - at);
    pieces.vec[pieces.count++] = {chunk->octets.data() + offset, size};
    pieces.size += size;
    at += size;
  }
  return pieces;
}

void SendBuffer::sent(std::size_t size) {
  const std::uint64_t before = sent_ / chunk_size;
  sent_ += size;
  if (sent_ == tail_) {
    cursor_ = nullptr;  // the next append() sets it
    return;
  }
  for (std::uint64_t i = before; i < sent_ / chunk_size; ++i) cursor_ = cursor_->next;
}

void SendBuffer::acknowledged(std::size_t size) {
  const std::uint64_t until = std::min(head_ + size, sent_);
  while (first_ != nullptr && (head_ / chunk_size + 1) * chunk_size <= until) {
    head_ = (head_ / chunk_size + 1) * chunk_size;
    if (first_ == last_) last_ = nullptr;
    pool_->give(std::exchange(first_, first_->next));
  }
  head_ = until;
  if (head_ == tail_) clear();  // offsets start anew, so that chunks stay aligned with them
}

void SendBuffer::drop_unsent() {
  tail_ = sent_;
  cursor_ = nullptr;
}

void SendBuffer::clear() {
  while (first_ != nullptr) pool_->give(std::exchange(first_, first_->next));
  last_ = cursor_ = nullptr;
  head_ = sent_ = tail_ = 0;
}

}  // namespace ztna::quic
