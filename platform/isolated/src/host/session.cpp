#include "host/session.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <new>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

std::string death_of(const Page& page, const std::string& given_up, const std::string& how,
                     const std::string& garbage) {
  if (auto crash = page.crash(); !crash.empty()) return crash;
  std::string text = "its process " + (given_up.empty() ? how : given_up);
  if (given_up.empty() && page.lost_descriptors.load() != 0)
    text = "its process closed its connection to the program";
  if (!garbage.empty()) text = "its process sent something wrong (" + garbage + ")";
  constexpr std::size_t most = 3;
  const auto inside = page.running();
  for (std::size_t i = 0; i < std::min(most, inside.size()); ++i) {
    text += (i == 0 ? ", inside of " : ", ") + inside[i].what + " '" + inside[i].name + "'";
    if (!inside[i].task.empty()) text += " of task '" + inside[i].task + "'";
  }
  if (inside.size() > most) text += " and " + std::to_string(inside.size() - most) + " more";
  return text;
}

Result<std::shared_ptr<Session>> Session::make(Peer& peer, std::uint64_t silence_ns,
                                               std::shared_ptr<MappableMemory> memory) {
  auto page = SharedPages::make(page_bytes);
  if (!page) return page.error();
  auto staging = SharedPages::make(staging_bytes);
  if (!staging) return staging.error();
  auto made =
      std::make_shared<Session>(peer, silence_ns, std::move(memory), *std::move(page), *std::move(staging));
  if (made->link.is_down())
    return Error(Errc::system, "too few descriptors for a chip's process", "ulimit -n");
  return made;
}

Session::Session(Peer& peer, std::uint64_t silence_ns, std::shared_ptr<MappableMemory> memory,
                 SharedPages page, SharedPages staging_pages)
    : link(peer.take_stream(), Link::WhenFull::go_down, silence_ns, peer.silence_ns()),
      pieces(std::move(memory)),
      staging(staging_pages.base() + copy_bytes, copy_bytes, staging_bytes - copy_bytes),
      page_(std::move(page)),
      staging_(std::move(staging_pages)),
      bulk_(peer.bulk()) {
  new (page_.base()) Page{};
  if (!link.is_local()) pieces.is_copied(staging_piece, {staging_.base(), staging_.size()});
}

Answer Session::set_up(const SetUp& facts, const std::string& library, const std::string& where,
                       Patience patience) {
  Writer writer;
  writer.put(facts).text(library).text(where);
  const std::array<int, 2> shared{page_.descriptor(), staging_.descriptor()};
  auto answer =
      call(Kind::set_up, writer, patience, std::span(shared).first(link.is_local() ? shared.size() : 0));
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
  const auto number = open(waiting);
  if (!number) return {otherwise_->code, otherwise_->text, {}};
  lock.unlock();
  constexpr std::size_t little = 4096;
  const bool sent = link.is_local() || arguments.bytes().size() <= little
                        ? link.send(kind, *number, arguments.bytes(), descriptors)
                        : send_in_turn(kind, *number, arguments.bytes(), patience);
  lock.lock();
  if (!sent && !link.is_down()) {
    waiting_.erase(*number);
    return {
        TROUPE_DEVICE_SYSTEM, "memory could not be passed to the chip's process: too many open files", {}};
  }
  return wait_for(waiting, *number, patience, lock);
}

std::optional<std::uint64_t> Session::open(Waiting& waiting) {
  if (otherwise_) return std::nullopt;
  waiting_.emplace(++last_number_, &waiting);
  return last_number_;
}

Answer Session::wait_for(Waiting& waiting, std::uint64_t number, Patience patience,
                         std::unique_lock<std::mutex>& lock) {
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

Answer Session::put(std::uint64_t device, std::span<const std::byte> bytes, Patience patience) {
  if (bytes.size() > part_bytes) {
    if (auto settled = settle(patience); settled.code != 0) return settled;
  }
  Waiting waiting;
  std::unique_lock lock(mutex_);
  const auto number = open(waiting);
  if (!number) return {otherwise_->code, otherwise_->text, {}};
  lock.unlock();
  Result<bool> left = false;
  if (bytes.size() > part_bytes) left = bulk_.put(*number, device, bytes, while_it_lives(patience));
  if (left && !*left) send_parts(*number, device, bytes, patience);
  lock.lock();
  if (!left) hear_why(left.error(), patience, lock);
  return wait_for(waiting, *number, patience, lock);
}

/// With the other things that are said.
void Session::send_parts(std::uint64_t number, std::uint64_t device, std::span<const std::byte> bytes,
                         Patience patience) {
  Writer part;
  for (bool sent = true; sent && !bytes.empty();) {
    const auto now = bytes.first(std::min<std::size_t>(bytes.size(), part_bytes));
    bytes = bytes.subspan(now.size());
    part.clear();
    part.put(PutPart{device, bytes.empty() ? 1U : 0U, 0}).raw(now.data(), now.size());
    sent = send_in_turn(Kind::put, number, part.bytes(), patience);
    device += now.size();
  }
}

/// That it ends is seen here before the other end's words have been read, or have come.
void Session::hear_why(const Error& lost, Patience patience, std::unique_lock<std::mutex>& lock) {
  if (lost != Errc::internal &&
      ended_.wait_for(lock, Milliseconds(patience.silence_ms), [this] { return otherwise_.has_value(); }))
    return;
  lock.unlock();
  give_up(lost.message());
  lock.lock();
}

GoOn Session::while_it_lives(Patience patience) {
  return [this, patience, heard = link.heard(), last = Clock::now()](bool moved) mutable -> int {
    const auto now = Clock::now();
    if (const auto latest = link.heard(); moved || latest != heard) {
      heard = latest;
      last = now;
    }
    // Where the link goes down meanwhile, these connections are ended with it.
    if (link.is_down()) return 0;
    const auto left = last + Milliseconds(patience.silence_ms) - now;
    if (left > Clock::duration::zero())
      return static_cast<int>(std::min<std::int64_t>(std::chrono::ceil<Milliseconds>(left).count(), 60'000));
    give_up("did not move bytes for " + std::to_string(patience.silence_ms) + " ms");
    return 0;
  };
}

bool Session::wait_for_room(Patience patience) {
  auto heard = link.heard();
  auto last_heard = Clock::now();
  while (!link.wait_for_room(Milliseconds(patience.silence_ms / 2 + 1))) {
    if (const auto latest = link.heard(); latest != heard) {
      heard = latest;
      last_heard = Clock::now();
    }
    if (Clock::now() - last_heard < Milliseconds(patience.silence_ms)) continue;
    give_up("did not take bytes for " + std::to_string(patience.silence_ms) + " ms");
  }
  return !link.is_down();
}

bool Session::send_in_turn(Kind kind, std::uint64_t number, std::span<const std::byte> payload,
                           Patience patience) {
  const std::lock_guard lock(turn_);
  return wait_for_room(patience) && link.send(kind, number, payload);
}

void Session::put_quietly(std::uint64_t device, std::span<const std::byte> bytes, Patience patience) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = not_waited_for | ++last_number_;
  }
  Writer part;
  part.put(PutPart{device, 1, 1}).raw(bytes.data(), bytes.size());
  (void)send_in_turn(Kind::put, number, part.bytes(), patience);
  put_quietly_.fetch_add(1);
}

/// The chip makes what comes over the link in its order, copies of few bytes before it hears the next.
Answer Session::settle(Patience patience) {
  const auto sent = put_quietly_.load();
  auto settled = settled_.load();
  if (settled >= sent) return {};
  auto answer = call(Kind::ping, Writer(), patience);
  if (answer.code != 0) return answer;
  while (settled < sent && !settled_.compare_exchange_weak(settled, sent)) {
  }
  return {};
}

Answer Session::get(std::uint64_t device, std::span<std::byte> bytes, Patience patience) {
  if (bytes.size() > part_bytes) {
    if (auto settled = settle(patience); settled.code != 0) return settled;
  }
  Waiting waiting;
  waiting.wants = bytes;
  std::unique_lock lock(mutex_);
  const auto number = open(waiting);
  if (!number) return {otherwise_->code, otherwise_->text, {}};
  lock.unlock();
  Result<std::optional<Bulk::Got>> got = std::optional<Bulk::Got>();
  if (bytes.size() > part_bytes) got = bulk_.get(device, bytes, while_it_lives(patience));
  if (got && !*got) {
    Writer which;
    which.put(GetCall{device, bytes.size()});
    (void)link.send(Kind::get, *number, which.bytes());
  }
  lock.lock();
  if (got && *got) {
    waiting_.erase(*number);
    return {(*got)->code, std::move((*got)->text), {}};
  }
  if (!got) hear_why(got.error(), patience, lock);
  return wait_for(waiting, *number, patience, lock);
}

bool Session::got(Frame& frame) {
  Reader reader(frame.payload);
  const auto part = reader.get<GotPart>();
  const auto bytes = reader.take(reader.left());
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(frame.number);
  if (!reader.fine() || found == waiting_.end()) return false;
  const auto to = found->second->wants;
  if (part.offset > to.size() || bytes.size() > to.size() - part.offset) return false;
  if (!bytes.empty()) std::memcpy(to.data() + part.offset, bytes.data(), bytes.size());
  return true;
}

void Session::obituary(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (died_of_.empty()) died_of_ = text.substr(0, 4096);
}

std::string Session::died_of() const {
  const std::lock_guard lock(mutex_);
  return died_of_;
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
  if ((frame.number & not_waited_for) != 0) {
    if (answer.code != 0) give_up("did not take bytes: " + answer.text);
    return true;
  }
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
  bulk_.shut();
  const std::lock_guard lock(mutex_);
  otherwise_ = Answer{otherwise.code, otherwise.text, {}};
  ended_.notify_all();
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
  bulk_.shut();
}

std::string Session::given_up_for() const {
  const std::lock_guard lock(mutex_);
  return given_up_for_;
}

}  // namespace troupe::platform::isolation
