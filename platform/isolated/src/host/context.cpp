// The life of a chip's process.
#include "host/context.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

/// How long a process may take until it has loaded its library.
constexpr std::uint64_t begin_silence_ms = 30'000;

}  // namespace

Context::Context(const troupe_host& host, std::shared_ptr<const Settings> settings)
    : settings_(std::move(settings)) {
  // Who waits for a call is no less patient than the connection.
  silence_ms_ = std::max(silence_ms_, settings_->silence_ns / 1'000'000);
  std::memcpy(&host_, &host, std::min<std::size_t>(host.size, sizeof host_));
}

Context::~Context() {
  {
    std::unique_lock lock(mutex_);
    wish_ = Wish::end;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !serving_; });
  }
  if (own_thread_.joinable()) own_thread_.join();
}

std::uint64_t Context::now() const {
  if (host_.now != nullptr) return host_.now(host_.data);
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

void Context::log(std::int32_t level, std::int32_t code, const std::string& text) const {
  if (host_.log != nullptr) {
    host_.log(host_.data, level, code, text.c_str());
  } else if (level == TROUPE_LOG_ERROR) {
    std::fprintf(stderr, "troupe: %s [%d]\n", text.c_str(), code);
  }
}

Result<void> Context::begin() {
  serving_ = true;
  if (host_.start_thread != nullptr) {
    if (const auto code = host_.start_thread(host_.data, "troupe-isolated", &Context::body, this);
        code != 0) {
      serving_ = false;
      if (code == TROUPE_DEVICE_SYSTEM)
        return Error(Errc::system, "no thread for a chip in a process of its own");
      return Error(Errc::unsupported, "a chip in a process of its own needs a host with threads",
                   "the deterministic mode has none: leave the isolation away there");
    }
  } else {
    own_thread_ = std::thread(&Context::body, this);
  }
  return start_process();
}

/// An error: there is none, and the device counts as one that has died of that.
Result<void> Context::start_process() {
  auto started = begin_process();
  std::unique_lock lock(mutex_);
  if (!started && death_.empty()) {
    lock.unlock();
    end_process(false);
    lock.lock();
    death_ = lost_where() + started.error().message();
  }
  starting_ = ending_ = false;
  return started;
}

Result<void> Context::begin_process() {
  std::unique_lock lock(mutex_);
  not_started_.reset();
  session_.reset();
  greeted_ = ending_ = false;
  starting_ = true;
  death_.clear();
  failed_here_.clear();
  wish_ = Wish::process;
  changed_.notify_all();
  const bool told = changed_.wait_for(lock, std::chrono::milliseconds(begin_silence_ms),
                                      [this] { return greeted_ || not_started_ || !death_.empty(); });
  const auto session = session_;
  if (!told && session) {
    lock.unlock();
    session->give_up("did not say that it has begun");
    lock.lock();
  }
  changed_.wait(lock, [this] { return greeted_ || not_started_ || !death_.empty(); });
  if (not_started_) return *not_started_;
  if (!death_.empty()) return Error(Errc::system, death_);
  const auto silence = silence_ms_;
  lock.unlock();
  SetUp facts;
  facts.wants_trace = host_.trace != nullptr;
  facts.wants_dump = host_.dump != nullptr;
  facts.page_bytes = Session::page_bytes;
  facts.staging_bytes = Session::staging_bytes;
  auto answer = session->set_up(facts, settings_->library, settings_->options.where, {begin_silence_ms});
  for (const auto& [name, value] : options_) {
    if (answer.code != 0) break;
    answer = session->call(Kind::set_option, Writer().text(name).text(value), {silence});
  }
  if (answer.code == 0) return {};
  return Error(ErrorCode{answer.code, "isolated"}, answer.text);
}

void Context::body(void* self) {
  auto& context = *static_cast<Context*>(self);
  context.serve();
  // The last touch: then its owner, who waits for it, may free it.
  const std::lock_guard lock(context.mutex_);
  context.serving_ = false;
  context.changed_.notify_all();
}

void Context::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return wish_ != Wish::nothing; });
    if (wish_ == Wish::end) return;
    wish_ = Wish::nothing;
    lock.unlock();
    auto peer = settings_->reach ? settings_->reach() : Child::start(settings_->program);
    if (peer) {
      live(**peer);
      lock.lock();
      continue;
    }
    lock.lock();
    not_started_ = peer.error();
    changed_.notify_all();
  }
}

void Context::live(Peer& peer) {
  clock_ahead_ns_ = peer.clock_ahead_ns();
  auto made = Session::make(peer, settings_->silence_ns, settings_->options.memory);
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    if (made) {
      session = session_ = *std::move(made);
    } else {
      not_started_ = made.error();
      changed_.notify_all();
      return;
    }
  }
  const auto served = session->link.serve(*this, peer.ended());
  // Before anybody hears that the chip is lost: the process can write memory of ours until it is gone.
  const auto how = peer.end(session->link.was_closed());
  bury(*session, how, served ? std::string() : served.error().message());
}

std::string Context::lost_where() const {
  const auto& where = settings_->options.where;
  return where.empty() ? std::string("a chip is lost: ") : where + " is lost: ";
}

/// "node0/chip1 is lost: kernel 'k' of task 't' …": of what the process died.
std::string Context::story(const Session& session, const std::string& how, const std::string& garbage) const {
  const auto text = lost_where();
  const auto given_up = session.given_up_for();
  if (session.link.is_local()) return text + death_of(session.page(), given_up, how, garbage);
  const auto& address = settings_->address;
  if (auto told = session.died_of(); !told.empty()) return text + told;
  if (session.link.fell_silent()) {
    return text + "nothing was heard from " + address + " for " +
           std::to_string(settings_->silence_ns / 1'000'000) + " ms";
  }
  if (!garbage.empty()) return text + address + " sent something wrong (" + garbage + ")";
  if (!given_up.empty()) return text + "the chip " + given_up;
  return text + how;
}

void Context::bury(Session& session, const std::string& how, const std::string& garbage) {
  std::string text;
  bool on_purpose = false, was_greeted = false;
  {
    const std::lock_guard lock(mutex_);
    text = death_ = story(session, how, garbage);
    on_purpose = ending_;
    was_greeted = greeted_;
    if (on_purpose) {
      end_all(TROUPE_DEVICE_ABORTED, "the device was reset or closed");
    } else {
      end_all(TROUPE_DEVICE_LOST, text);
    }
    changed_.notify_all();
  }
  deliver();
  session.over({TROUPE_DEVICE_LOST, text, {}});
  // Whoever has nothing to wait for hears it, too.
  if (!on_purpose && was_greeted) log(TROUPE_LOG_ERROR, TROUPE_DEVICE_LOST, text);
}

/// Asks the process to end, in time, unless that is in vain; then sees to it.
void Context::end_process(bool ask) {
  std::unique_lock lock(mutex_);
  const auto session = session_;
  if (!session) return;
  ending_ = true;
  window_memory_.clear();
  allocations_.clear();
  ask = ask && death_.empty();
  const auto time = time_for_ending();
  lock.unlock();
  if (ask) (void)session->call(Kind::destroy, Writer(), {time, time});
  session->give_up("was ended");
  lock.lock();
  changed_.wait(lock, [this] { return !death_.empty(); });
  // What it has left is told before anybody hears that it has gone.
  changed_.wait(lock, [this] { return ends_.empty() && delivering_.load() == std::thread::id(); });
}

Result<void> Context::greet(const Frame& frame) {
  Reader reader(frame.payload);
  const auto hello = reader.get<Hello>();
  if (!reader.complete()) return Error(Errc::internal, "a greeting of another length");
  if (is_another_build(hello)) {
    return Error(Errc::version_mismatch, "'" + settings_->program + "' is of another version of troupe");
  }
  const std::lock_guard lock(mutex_);
  greeted_ = true;
  changed_.notify_all();
  return {};
}

Result<void> Context::frame(Frame& frame) {
  const auto wrong = [](const char* what) { return Error(Errc::internal, what); };
  if (!greeted_) {
    if (frame.kind != Kind::hello) return wrong("no greeting");
    return greet(frame);
  }
  Reader reader(frame.payload);
  switch (frame.kind) {
    case Kind::answer:
      deliver();  // the ends that came before it are heard before it
      if (!session_->answered(frame)) return wrong("an answer to nothing");
      return {};
    case Kind::completions: {
      std::vector<troupe_completion> ends;
      std::vector<std::string> messages;
      if (!read_completions(reader, ends, messages)) return wrong("ends of runs that cannot be read");
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < ends.size(); ++i) {
        auto* const flight = flight_of(ends[i].correlation);
        if (flight == nullptr || flight->held) return wrong("the end of a run that is none");
        if (!finish(*flight, ends[i].code)) return wrong("a second end of a run");
        put_here(ends[i]);
        ends_.push_back({ends[i], std::move(messages[i])});
      }
      return {};
    }
    case Kind::part:
      if (!session_->got(frame)) return wrong("bytes that nobody asked for");
      return {};
    case Kind::spill: {
      const auto where = reader.get<PiecePart>();
      const auto bytes = reader.take(reader.left());
      if (!reader.fine() || !session_->pieces.filled(where.piece, where.offset, bytes))
        return wrong("bytes for nowhere");
      return {};
    }
    case Kind::obituary:
      session_->obituary(reader.text());
      return {};
    case Kind::log: {
      const auto level = reader.get<std::int32_t>(), code = reader.get<std::int32_t>();
      const std::string text(reader.text());
      if (!reader.complete()) return wrong("a log line that cannot be read");
      log(level, code, text);
      return {};
    }
    case Kind::trace: {
      TraceBatch batch;
      if (!batch.read(reader)) return wrong("a trace that cannot be read");
      for (auto& event : batch.events()) {
        for (auto* const time :
             {&event.submitted_ns, &event.ready_ns, &event.dispatched_ns, &event.begin_ns, &event.end_ns})
          *time = here(*time);
      }
      if (host_.trace != nullptr) host_.trace(host_.data, batch.events().data(), batch.events().size());
      return {};
    }
    case Kind::dump: {
      troupe_dump_record record{};
      std::string name;
      if (!read_dump(reader, record, name)) return wrong("a dump that cannot be read");
      std::optional<SharedPages> pages;
      if (record.data == nullptr && record.bytes != 0) {
        if (frame.descriptors.size() != 1) return wrong("a dump without its bytes");
        auto mapped =
            SharedPages::map(std::move(frame.descriptors[0]), static_cast<std::size_t>(record.bytes));
        if (!mapped) return {};  // no room for it: it is left out
        pages = *std::move(mapped);
        record.data = pages->base();
      }
      if (host_.dump != nullptr) host_.dump(host_.data, &record);
      return {};
    }
    default:
      return wrong("of an unknown kind");
  }
}

void Context::caught_up() {
  {
    const std::lock_guard lock(mutex_);
    while (!flights_.empty() && flights_.front().ended) flights_.pop_front();
    release_held();
  }
  deliver();
}

void Context::deliver() {
  std::vector<End> ends;
  {
    const std::lock_guard lock(mutex_);
    if (ends_.empty()) return;
    ends.swap(ends_);
    delivering_ = std::this_thread::get_id();
  }
  if (host_.complete != nullptr) {
    std::vector<troupe_completion> told;
    told.reserve(ends.size());
    for (const auto& end : ends) {
      told.push_back(end.completion);
      told.back().message = end.completion.code != 0 ? end.message.c_str() : nullptr;
    }
    host_.complete(host_.data, told.data(), told.size());
  }
  const std::lock_guard lock(mutex_);
  delivering_ = std::thread::id();
  changed_.notify_all();
}

}  // namespace troupe::platform::isolation
