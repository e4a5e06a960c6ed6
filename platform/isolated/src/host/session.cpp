#include "host/session.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <new>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

Result<std::shared_ptr<Session>> Session::make(comm::FileDescriptor socket,
                                               std::shared_ptr<MappableMemory> memory) {
  auto page = SharedPages::make(page_bytes);
  if (!page) return page.error();
  auto staging = SharedPages::make(staging_bytes);
  if (!staging) return staging.error();
  auto made =
      std::make_shared<Session>(std::move(socket), std::move(memory), *std::move(page), *std::move(staging));
  if (made->link.is_down())
    return Error(Errc::system, "too few descriptors for a chip's process", "ulimit -n");
  return made;
}

Session::Session(comm::FileDescriptor socket, std::shared_ptr<MappableMemory> memory, SharedPages page,
                 SharedPages staging_pages)
    : link(std::move(socket), Link::WhenFull::go_down),
      pieces(std::move(memory)),
      staging(staging_pages.base() + copy_bytes, copy_bytes, staging_bytes - copy_bytes),
      page_(std::move(page)),
      staging_(std::move(staging_pages)) {
  new (page_.base()) Page{};
}

Answer Session::set_up(const SetUp& facts, const std::string& library, const std::string& where,
                       Patience patience) {
  Writer writer;
  writer.put(facts).text(library).text(where);
  const std::array<int, 2> shared{page_.descriptor(), staging_.descriptor()};
  auto answer = call(Kind::set_up, writer, patience, shared);
  page_.close_descriptor();
  staging_.close_descriptor();
  return answer;
}

Answer Session::call(Kind kind, const Writer& arguments, Patience patience,
                     std::span<const int> descriptors) {
  if (arguments.bytes().size() > most_frame_bytes) {
    return {TROUPE_DEVICE_INVALID_ARGUMENT, "more than a message to a chip's process may have", {}};
  }
  Waiting waiting;
  std::unique_lock lock(mutex_);
  if (otherwise_) return {otherwise_->code, otherwise_->text, {}};
  const auto number = ++last_number_;
  waiting_.emplace(number, &waiting);
  lock.unlock();
  const bool sent = link.send(kind, number, arguments.bytes(), descriptors);
  lock.lock();
  if (!sent && !link.is_down()) {
    waiting_.erase(number);
    return {
        TROUPE_DEVICE_SYSTEM, "memory could not be passed to the chip's process: too many open files", {}};
  }
  // Without a word from the process for half of its time it is asked for one.
  const auto begin = Clock::now();
  auto last_heard = begin;
  auto heard = link.heard();
  bool asked = false;
  while (!waiting.answer) {
    auto until = last_heard + Milliseconds(asked ? patience.silence_ms : patience.silence_ms / 2);
    if (patience.all_ms) until = std::min(until, begin + Milliseconds(*patience.all_ms));
    if (waiting.answered.wait_until(lock, until) == std::cv_status::no_timeout || waiting.answer) continue;
    const auto now = Clock::now();
    if (patience.all_ms && now >= begin + Milliseconds(*patience.all_ms)) {
      waiting_.erase(number);
      return {TROUPE_DEVICE_BUSY, "the chip's process does not answer", {}};
    }
    if (const auto latest = link.heard(); latest != heard) {
      heard = latest;
      last_heard = now;
      asked = false;
    } else if (!asked) {
      asked = true;
      lock.unlock();
      (void)link.send(Kind::ping, 0, {});
      lock.lock();
    } else if (now >= last_heard + Milliseconds(patience.silence_ms)) {
      lock.unlock();
      give_up("did not answer for " + std::to_string(patience.silence_ms) + " ms");
      lock.lock();
      last_heard = now;  // the answer comes when it has gone
    }
  }
  waiting_.erase(number);
  return *std::move(waiting.answer);
}

bool Session::answered(Frame& frame) {
  Reader reader(frame.payload);
  Answer answer;
  answer.code = reader.get<std::int32_t>();
  answer.text = reader.text();
  const auto more = reader.take(reader.left());
  if (!reader.fine()) return false;
  answer.more.assign(more.begin(), more.end());
  answer.descriptors = std::move(frame.descriptors);
  if (frame.number == 0) return true;  // to a question whether it is there
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(frame.number);
  // Who asked may have lost patience.
  if (found == waiting_.end()) return frame.number <= last_number_;
  if (found->second->answer) return false;
  found->second->answer = std::move(answer);
  found->second->answered.notify_one();
  return true;
}

void Session::over(const Answer& otherwise) {
  const std::lock_guard lock(mutex_);
  otherwise_ = Answer{otherwise.code, otherwise.text, {}};
  for (auto& [number, waiting] : waiting_) {
    if (waiting->answer) continue;
    waiting->answer = Answer{otherwise.code, otherwise.text, {}};
    waiting->answered.notify_one();
  }
}

void Session::give_up(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (given_up_for_.empty()) given_up_for_ = why;
  }
  link.shut();
}

std::string Session::given_up_for() const {
  const std::lock_guard lock(mutex_);
  return given_up_for_;
}

}  // namespace troupe::platform::isolation
