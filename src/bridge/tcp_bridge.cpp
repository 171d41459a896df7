#include "bridge/tcp_bridge.hpp"

#include <utility>

namespace ztna::bridge {

void TcpBridge::adopt(io::TcpStream stream) {
  stream_ = std::move(stream);
  stream_.start(*this);
}

void TcpBridge::connect(io::Loop& loop, const base::HostPort& to, base::Duration timeout) {
  connecting_ = true;
  stream_ = io::TcpStream::connect(loop, to, timeout, *this);
}

// --- from the flow

void TcpBridge::flow_data(base::BytesView data) {
  if (over_) return;
  waiting_.insert(waiting_.end(), data.begin(), data.end());
  if (!std::exchange(gathering_, true)) port_.gather(*this);
}

void TcpBridge::write_gathered() {
  gathering_ = false;
  flush();
}

void TcpBridge::flow_fin() {
  fin_wanted_ = true;
  flush();
}

void TcpBridge::flow_writable() { stream_.resume_reading(); }

void TcpBridge::flow_ended(session::FlowEnd end) {
  flow_alive_ = false;
  if (over_) return;
  if (end != session::FlowEnd::finished) {
    stream_.abort();
    return over();
  }
  fin_wanted_ = true;
  flush();
}

// --- from the socket

void TcpBridge::on_connected() {
  connecting_ = false;
  owner_.on_bridge_connected(id_);
  flush();
  port_.pump();
}

void TcpBridge::on_connect_failed(io::ConnectFailure failure) {
  owner_.on_bridge_connect_failed(id_, failure);
  over();
  port_.pump();
}

std::size_t TcpBridge::read_budget() { return flow_alive_ ? port_.flow_writable(id_) : 0; }

void TcpBridge::on_data(base::BytesView data) {
  // read_budget() promised that it fits.
  if (port_.flow_write(id_, data) < data.size()) {
    port_.flow_reset(id_);
    flow_ended(session::FlowEnd::reset);
  }
  port_.pump();
}

void TcpBridge::on_eof() {
  if (flow_alive_) port_.flow_finish(id_);
  port_.pump();
}

void TcpBridge::on_writable() {
  flush();
  port_.pump();
}

void TcpBridge::on_closed(io::TcpStream::CloseReason reason) {
  const bool clean = reason.why == io::TcpStream::Closed::finished;
  if (flow_alive_ && !clean) port_.flow_reset(id_);
  flow_alive_ = flow_alive_ && clean;
  // After a clean end the flow may still be acknowledging; its own end follows.
  if (!flow_alive_) over();
  port_.pump();
}

void TcpBridge::flush() {
  if (over_ || connecting_) return;
  if (waiting_at_ < waiting_.size()) {
    const std::size_t written = stream_.write(base::BytesView(waiting_).subspan(waiting_at_));
    waiting_at_ += written;
    if (flow_alive_ && written > 0) port_.flow_consume(id_, written);
    if (waiting_at_ < waiting_.size()) return compact();
  }
  waiting_.clear();
  waiting_at_ = 0;
  if (fin_wanted_ && !fin_sent_) {
    fin_sent_ = true;
    stream_.shutdown_write();
  }
  if (!flow_alive_) {
    stream_.close();
    over();
  }
}

// A reader that never quite catches up must not make the buffer grow for ever.
void TcpBridge::compact() {
  if (waiting_at_ < waiting_.size() / 2) return;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(waiting_at_));
  waiting_at_ = 0;
}

void TcpBridge::over() {
  if (over_) return;
  over_ = true;
  owner_.on_bridge_over(id_);
}

}  // namespace ztna::bridge
