#include "io/http_connection.hpp"

#include <algorithm>
#include <utility>

namespace ztna::io {

namespace {
constexpr base::Duration drain_timeout = std::chrono::seconds(2);
// Sent octets are moved out of the queue in steps of at least this size.
constexpr std::size_t compact_step = std::size_t{64} * 1024;
}  // namespace

HttpConnection::HttpConnection(Loop& loop, std::shared_ptr<const Site> site, TcpStream stream)
    : loop_(loop), site_(std::move(site)), stream_(std::move(stream)), timer_(loop, [this] {
        const auto self = shared_from_this();
        stream_.abort();
        close();
      }) {}

void HttpConnection::start() {
  set_timer();
  stream_.start(*this);
}

void HttpConnection::close() {
  if (state_ == State::gone) return;
  state_ = State::gone;
  timer_.cancel();
  stream_.close();
  site_->gone(this);
}

// While an answer is awaited, reading goes on (that is how a client that left is noticed), but only
// as far as one more request header could need. A client that does not read is not read from.
std::size_t HttpConnection::read_budget() {
  if (state_ == State::closing || state_ == State::draining) {  // thrown away, until it ends
    return TcpStream::Handler::read_budget();
  }
  if (!out_.empty()) return 0;
  const std::size_t limit = site_->options.max_header + site_->options.max_body;
  return limit - std::min(limit, in_.size());
}

void HttpConnection::on_data(base::BytesView data) {
  const auto self = shared_from_this();
  if (state_ == State::draining || state_ == State::closing) return;
  in_.append(base::as_text(data));
  process();
}

// One answer after the other: a request is looked at only when the answers before it have left, or
// a client that pipelines and never reads would have us keep them all.
void HttpConnection::process() {
  if (processing_) return;
  processing_ = true;
  while ((state_ == State::idle || state_ == State::reading) && !in_.empty() && out_.empty()) {
    if (!parser_) parser_.emplace(site_->options.max_header, site_->options.max_body);
    if (state_ == State::idle) {
      state_ = State::reading;
      set_timer();
    }
    parser_->feed(in_);
    if (parser_->error() != 0) {
      refuse(parser_->error());
      break;
    }
    if (parser_->wants_continue()) queue("HTTP/1.1 100 Continue\r\n\r\n");
    if (!parser_->complete()) break;
    const auto request = parser_->request();
    if (!request) {
      refuse(400);
      break;
    }
    traits_ = {parser_->keep_alive(), parser_->http_1_0(), request->method == "HEAD"};
    parser_.reset();
    state_ = State::handling;
    ++request_number_;
    set_timer();
    site_->dispatch(*request, shared_from_this());
  }
  processing_ = false;
}

void HttpConnection::refuse(unsigned status) {
  traits_ = {false, false, false};
  state_ = State::handling;
  answer({status, "text/plain; charset=utf-8", "the request cannot be understood\n"});
}

void HttpConnection::answer(const HttpResponse& response) {
  queue(http_response_text(response, traits_));
  answered();
}

void HttpConnection::begin_stream(unsigned status, std::string_view content_type) {
  if (traits_.http_1_0) traits_.keep_alive = false;
  state_ = State::streaming;
  queue(http_stream_head(status, content_type, traits_));
}

bool HttpConnection::stream(std::string_view text) {
  if (out_.size() - out_sent_ + text.size() > HttpReply::max_queued) return false;
  if (text.empty() || traits_.head_only) return true;
  queue(traits_.http_1_0 ? std::string(text) : http_chunk(text));
  return state_ != State::gone;
}

void HttpConnection::end_stream() {
  if (!traits_.http_1_0 && !traits_.head_only) queue(http_last_chunk());
  answered();
}

void HttpConnection::answered() {
  if (state_ == State::gone) return;
  state_ = traits_.keep_alive ? State::idle : State::closing;
  flush();
  if (state_ != State::idle) return;
  stream_.resume_reading();
  // A request that came meanwhile; from the loop, as the answer may come from anywhere.
  if (!in_.empty() && !processing_)
    loop_.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->process();
    });
}

void HttpConnection::queue(std::string_view text) {
  out_.append(text);
  flush();
}

void HttpConnection::flush() {
  if (state_ == State::gone) return;
  const auto rest = std::string_view(out_).substr(out_sent_);
  const std::size_t taken = stream_.write(base::as_bytes(rest));
  out_sent_ += taken;
  if (taken > 0) write_timed_ = false;
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
    if (state_ == State::closing) {
      state_ = State::draining;
      stream_.shutdown_write();
    }
    stream_.resume_reading();
  } else if (out_sent_ > compact_step) {
    out_.erase(0, std::exchange(out_sent_, 0));
  }
  set_timer();
}

void HttpConnection::set_timer() {
  const base::Time now = Loop::now();
  if (!out_.empty()) {
    // Without progress the time runs on, whatever else is queued.
    if (!std::exchange(write_timed_, true)) timer_.set(now + site_->options.write_timeout);
    return;
  }
  write_timed_ = false;
  switch (state_) {
    case State::idle: return timer_.set(now + site_->options.idle_timeout);
    case State::reading: return timer_.set(now + site_->options.request_timeout);
    case State::draining: return timer_.set(now + drain_timeout);
    case State::handling:
    case State::streaming:
    case State::closing:
    case State::gone: return timer_.cancel();
  }
}

void HttpConnection::on_writable() {
  const auto self = shared_from_this();
  flush();
  process();
}

// A client that ends its side is served what is complete, and no more.
void HttpConnection::on_eof() {
  const auto self = shared_from_this();
  if (state_ == State::closing || state_ == State::draining) return;
  if (state_ == State::idle && !out_.empty()) {
    state_ = State::closing;
    return;
  }
  close();
}

void HttpConnection::on_closed(TcpStream::CloseReason /*reason*/) {
  const auto self = shared_from_this();
  close();
}

}  // namespace ztna::io
