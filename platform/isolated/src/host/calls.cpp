// The calls of a context that are not about runs in flight.
#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "host/context.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/module_abi.h"

namespace troupe::platform::isolation {
namespace {

/// Bytes up to here go along with their call.
constexpr std::uint64_t most_inlined = std::uint64_t{1} << 20U;

/// The file that holds a module, so that another process can load it, too.
Result<std::string> file_of(const troupe_module_v1& module, const std::string& callable) {
  Dl_info info{};
  link_map* map = nullptr;
  const bool found = ::dladdr1(&module, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) != 0;
  if (!found || map == nullptr || map->l_name == nullptr || map->l_name[0] == '\0') {
    return Error(Errc::bad_callable,
                 "'" + callable +
                     "' is part of the program itself, which a chip in a process of its own cannot "
                     "load: put it into a module, a shared library with TROUPE_MODULE, and load that");
  }
  std::error_code problem;
  const auto file = std::filesystem::canonical(map->l_name, problem);
  if (problem) {
    return Error(Errc::bad_callable, "'" + callable + "': its module '" + map->l_name +
                                         "' is not there any more: " + problem.message());
  }
  return file.string();
}

}  // namespace

std::int32_t Context::note(const Answer& answer) {
  if (answer.code == 0) return 0;
  const std::lock_guard lock(error_mutex_);
  error_code_ = answer.code;
  error_text_ = answer.text.empty() ? "code " + std::to_string(answer.code) : answer.text;
  return answer.code;
}

void Context::last_error(std::int32_t* code, char* text, std::size_t capacity) const {
  const std::lock_guard lock(error_mutex_);
  if (code != nullptr) *code = error_code_;
  if (text == nullptr || capacity == 0) return;
  const auto length = std::min(error_text_.size(), capacity - 1);
  std::memcpy(text, error_text_.data(), length);
  text[length] = '\0';
}

std::int32_t Context::null_argument(const char* what) {
  return note(TROUPE_DEVICE_INVALID_ARGUMENT, std::string("null ") + what);
}

Answer Context::bad_answer() { return {TROUPE_DEVICE_INTERNAL, "an answer of another length", {}}; }

/// Under the mutex: why nothing can be asked of the process.
std::optional<Answer> Context::refusal(bool needs_device) const {
  if (state_ == State::finalized) {
    return Answer{TROUPE_DEVICE_FINALIZED, "this device context was finalized", {}};
  }
  if (ending_ || starting_) return Answer{TROUPE_DEVICE_INVALID_STATE, "the device is being reset", {}};
  if (!death_.empty()) return Answer{TROUPE_DEVICE_LOST, death_, {}};
  if (needs_device && state_ != State::ready) {
    return Answer{TROUPE_DEVICE_INVALID_STATE, "no device is set: call set_device first", {}};
  }
  return std::nullopt;
}

Answer Context::ask(Kind kind, const Writer& arguments, std::span<const int> descriptors,
                    const Session* only) {
  if (inside_callback()) {
    return {TROUPE_DEVICE_REENTRANT_CALL, "the device ABI was called from inside a completion callback", {}};
  }
  std::shared_ptr<Session> session;
  std::uint64_t silence = 0;
  {
    const std::lock_guard lock(mutex_);
    if (auto refused = refusal(false)) return *std::move(refused);
    session = session_;
    silence = silence_ms_;
    if (only != nullptr && only != session.get())
      return {TROUPE_DEVICE_INVALID_STATE, "the device was reset meanwhile", {}};
  }
  return session->call(kind, arguments, {silence}, descriptors);
}

// --- the life of the device ------------------------------------------------------------------------------

/// Under the mutex: the grace, less what kernels that were asked to end have had of it.
std::uint64_t Context::time_for_ending() const {
  constexpr std::uint64_t least = 100, beside = 1000;
  std::uint64_t asked = 0;
  for (const auto& flight : flights_) {
    if (!flight.ended && flight.asked_ns != 0)
      asked = asked == 0 ? flight.asked_ns : std::min(asked, flight.asked_ns);
  }
  const auto had = asked != 0 ? (now() - asked) / 1'000'000 : 0;
  return std::max(least, had >= grace_ms_ + beside ? 0 : grace_ms_ + beside - had);
}

std::int32_t Context::finalize() {
  if (inside_callback()) {
    return note(TROUPE_DEVICE_REENTRANT_CALL, "the device ABI was called from inside a completion callback");
  }
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::finalized) return 0;
  }
  end_process(true);
  const std::lock_guard lock(mutex_);
  state_ = State::finalized;
  return 0;
}

std::int32_t Context::reset() {
  if (inside_callback()) {
    return note(TROUPE_DEVICE_REENTRANT_CALL, "the device ABI was called from inside a completion callback");
  }
  std::shared_ptr<Session> session;
  std::uint64_t time = 0;
  {
    const std::lock_guard lock(mutex_);
    auto refused = refusal(false);
    if (refused && refused->code != TROUPE_DEVICE_LOST) {
      return note(*refused);
    }
    if (!refused) session = session_;
    time = time_for_ending();
    ending_ = true;
  }
  if (session && session->call(Kind::reset, Writer(), {time, time}).code == 0) {
    std::unique_lock lock(mutex_);
    end_all(TROUPE_DEVICE_ABORTED, "the device was reset");  // what was never sent
    session->link.wake();
    changed_.wait(lock, [this] { return ends_.empty() && delivering_.load() == std::thread::id(); });
    window_memory_.clear();
    allocations_.clear();
    ending_ = false;
    state_ = State::created;
    return 0;
  }
  // It does not let go of its kernels, or is dead: another one takes its place.
  end_process(false);
  {
    const std::lock_guard lock(mutex_);
    state_ = State::created;
  }
  if (const auto started = start_process(); !started) return note(Answer::of(started.error()));
  return 0;
}

std::int32_t Context::set_option(const char* name, const char* value) {
  if (name == nullptr || value == nullptr) return null_argument("option name or value");
  const std::string_view which = name;
  std::uint64_t number = 0;
  const std::string_view digits = value;
  const bool is_number =
      !digits.empty() && digits.size() < 10 &&
      std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (is_number) number = std::stoull(std::string(digits));
  if (which == "silence_ms") {
    if (!is_number || number == 0) {
      return note(TROUPE_DEVICE_UNKNOWN_OPTION, "option silence_ms is a number of milliseconds from 1 on");
    }
    const std::lock_guard lock(mutex_);
    silence_ms_ = number;
    return 0;
  }
  Writer option;
  option.text(which).text(value);
  const auto answer = ask(Kind::set_option, option);
  if (answer.code != 0) return note(answer);
  const std::lock_guard lock(mutex_);
  if (which == "grace_ms" && is_number) grace_ms_ = number;
  options_.emplace_back(name, value);
  return 0;
}

std::int32_t Context::set_device(std::int32_t device) {
  Writer arguments;
  arguments.put(device);
  if (const auto answer = ask(Kind::set_device, arguments); answer.code != 0) return note(answer);
  troupe_device_properties properties{};
  properties.size = sizeof properties;
  if (const auto code = this->properties(&properties); code != 0) return code;
  const std::lock_guard lock(mutex_);
  state_ = State::ready;
  return 0;
}

// --- memory ------------------------------------------------------------------------------------------------

std::int32_t Context::allocate(std::uint64_t bytes, std::uint64_t* address) {
  if (address == nullptr) return null_argument("address");
  Writer arguments;
  arguments.put(bytes);
  const auto code = simple(Kind::allocate, arguments, address);
  if (code == 0 && settings_->reach) {
    const std::lock_guard lock(mutex_);
    allocations_[*address] = bytes;
  }
  return code;
}

std::int32_t Context::free(std::uint64_t address) {
  Writer arguments;
  arguments.put(address);
  const auto code = simple<char>(Kind::free, arguments, nullptr);
  if (code == 0 && settings_->reach) {
    const std::lock_guard lock(mutex_);
    allocations_.erase(address);
  }
  return code;
}

std::int32_t Context::copy(bool to_device, std::uint64_t device, std::byte* host, std::uint64_t bytes) {
  const auto kind = to_device ? Kind::copy_to : Kind::copy_from;
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    if (!inside_callback()) {
      if (const auto refused = refusal(false)) return note(*refused);
    }
    session = session_;
  }
  const auto call = [&](std::uint64_t address, Pieces::Place place, std::uint64_t length) {
    Writer arguments;
    arguments.put(CopyCall{address, place.offset, length, place.piece, 0});
    return ask(kind, arguments, {}, session.get());
  };
  // Nothing is copied, but the platform may have something to say.
  if (bytes == 0 || inside_callback()) return note(call(device, {staging_piece, 0}, 0));
  if (host == nullptr) return null_argument("host");
  if (!session->link.is_local()) return copy_away(*session, to_device, device, host, bytes);
  if (const auto place = session->pieces.find(session->link, host, bytes))
    return note(call(device, *place, bytes));
  // The range is refused as a whole, or not at all.
  constexpr auto piece = Session::copy_bytes;
  const std::lock_guard lock(session->copying);
  if (bytes > piece) {
    Writer range;
    range.put(CopyCall{device, 0, bytes, 0, 0});
    if (const auto answer = ask(kind, range, {}, session.get()); answer.code != 0) return note(answer);
  }
  for (std::uint64_t done = 0; done < bytes; done += piece) {
    const auto length = std::min(piece, bytes - done);
    if (to_device) std::memcpy(session->copies(), host + done, static_cast<std::size_t>(length));
    if (const auto answer = call(device + done, {staging_piece, 0}, length); answer.code != 0)
      return note(answer);
    if (!to_device) std::memcpy(host + done, session->copies(), static_cast<std::size_t>(length));
  }
  return 0;
}

/// To another machine. As above, but with the bytes, and many of them under way.
std::int32_t Context::copy_away(Session& session, bool to_device, std::uint64_t device, std::byte* host,
                                std::uint64_t bytes) {
  std::uint64_t silence = 0;
  bool fits = false;
  {
    const std::lock_guard lock(mutex_);
    if (auto refused = refusal(false)) return note(*refused);
    silence = silence_ms_;
    const auto next = allocations_.upper_bound(device);
    fits = next != allocations_.begin() && [&](const auto& one) {
      return device - one.first <= one.second && bytes <= one.second - (device - one.first);
    }(*std::prev(next));
  }
  if (fits && to_device && bytes <= part_bytes) {
    session.put_quietly(device, {host, static_cast<std::size_t>(bytes)}, {silence});
    return 0;
  }
  if (bytes > part_bytes && !fits) {
    Writer range;
    range.put(CopyCall{device, 0, bytes, 0, 0});
    if (const auto answer = ask(to_device ? Kind::copy_to : Kind::copy_from, range); answer.code != 0)
      return note(answer);
  }
  const std::span memory(host, static_cast<std::size_t>(bytes));
  const auto answer =
      to_device ? session.put(device, memory, {silence}) : session.get(device, memory, {silence});
  if (const auto why = session.why_no_bulk()) {
    log(TROUPE_LOG_WARNING, why->code().value,
        "many bytes go with the rest, as there is no connection of their own for them: " + render(*why));
  }
  return note(answer);
}

// --- code --------------------------------------------------------------------------------------------------

std::int32_t Context::register_callable(const troupe_callable* callable, std::uint64_t* id) {
  if (callable == nullptr) return null_argument("callable");
  if (id == nullptr) return null_argument("id");
  if (callable->signature != nullptr && callable->signature_count > 65536)
    return note(TROUPE_DEVICE_INVALID_ARGUMENT, "register_callable: an absurdly long signature");
  CallableNews news;
  news.core_kind = callable->core_kind;
  news.signature_count = callable->signature != nullptr ? callable->signature_count : 0;
  news.has_name = callable->name != nullptr;
  news.has_bytes = callable->bytes != nullptr;
  news.byte_count = callable->byte_count;
  const std::string name = news.has_name != 0 ? callable->name : "";
  std::string file;
  if (callable->module != nullptr) {
    auto found = file_of(*callable->module, name);
    if (!found) return note(Answer::of(found.error()));
    file = *std::move(found);
    news.has_module = 1;
    if (settings_->reach) {
      // Another machine knows it by what is in it.
      std::string digest;
      if (const auto brought = bring_module(file, name, digest); brought.code != 0) return note(brought);
      file = std::move(digest);
    }
  }
  std::optional<SharedPages> pages;
  std::vector<int> descriptors;
  const bool inlined = news.has_bytes != 0 && (news.byte_count <= most_inlined || settings_->reach);
  if (news.has_bytes != 0 && !inlined) {
    auto made = SharedPages::make(static_cast<std::size_t>(news.byte_count));
    if (!made) return note(Answer::of(made.error()));
    pages = *std::move(made);
    std::memcpy(pages->base(), callable->bytes, static_cast<std::size_t>(news.byte_count));
    descriptors.push_back(pages->descriptor());
  }
  Writer arguments;
  arguments.put(news).text(name).text(file);
  arguments.text(callable->module != nullptr && callable->module->name != nullptr ? callable->module->name
                                                                                  : "");
  // So that a file that was replaced meanwhile is told from the one that is loaded here.
  std::string build;
  if (callable->module != nullptr) {
    const auto identity = runtime::object_identity(callable->module);
    if (!identity) return note(Answer::of(identity.error()));
    build = runtime::to_string(*identity);
  }
  arguments.text(build);
  arguments.raw(callable->signature, news.signature_count);
  if (inlined) arguments.raw(callable->bytes, static_cast<std::size_t>(news.byte_count));
  const auto answer = ask(Kind::register_callable, arguments, descriptors);
  if (answer.code != 0) return note(answer);
  Reader reader(answer.more);
  *id = reader.get<std::uint64_t>();
  return reader.complete() ? 0 : note(bad_answer());
}

}  // namespace troupe::platform::isolation
