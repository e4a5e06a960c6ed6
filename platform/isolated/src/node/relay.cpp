// A chip of a node: its process, and what that says.
#include "node/relay.hpp"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t most_windows = 4096;
/// A record of a dump that goes along in one frame.
constexpr std::uint64_t most_dumped = std::uint64_t{15} << 20U;

Token new_token() {
  Token token{};
  // Never short for so few bytes.
  (void)!::getrandom(token.data(), token.size(), 0);
  return token;
}

}  // namespace

Error too_few_descriptors() { return Error(Errc::system, "the node has too few descriptors (ulimit -n)"); }

Error misread(const char* what) { return Error(Errc::internal, what); }

std::uint64_t WindowMemory::keep(comm::FileDescriptor memory) {
  const std::lock_guard lock(mutex_);
  memory_[++last_] = std::move(memory);
  return last_;
}

void WindowMemory::forget(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  memory_.erase(number);
}

comm::FileDescriptor WindowMemory::find(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = memory_.find(number);
  if (found == memory_.end()) return {};
  return comm::FileDescriptor(::fcntl(found->second.get(), F_DUPFD_CLOEXEC, 0));
}

Relay::Relay(NodeRooms& rooms, std::unique_ptr<Stream> program, std::uint64_t silence_ns, std::string called,
             bool may_ship)
    : rooms_(rooms),
      called_(std::move(called)),
      may_ship_(may_ship),
      token_(new_token()),
      program_(std::move(program), Link::WhenFull::go_down, silence_ns) {}

Relay::~Relay() { forget_windows(); }

void Relay::window_is_done(std::uint64_t window) {
  const auto found = windows_.find(window);
  if (found == windows_.end()) return;
  rooms_.windows.forget(found->second);
  windows_.erase(found);
}

void Relay::forget_windows() {
  for (const auto& [window, number] : windows_) rooms_.windows.forget(number);
  windows_.clear();
  commits_.clear();
}

void Relay::end() { program_.shut(); }

void Relay::serve_program() {
  (void)program_.serve(hears_program_);
  std::unique_lock lock(mutex_);
  program_gone_ = true;
  if (chip_) chip_->shut();
  for (const auto& lent : lent_) {
    if (lent.stream != nullptr) lent.stream->shut();
  }
  changed_.notify_all();
  changed_.wait(lock, [this] { return chip_gone_ && !lent_[0].in_use && !lent_[1].in_use; });
}

void Relay::serve_chip() {
  const auto over = [this] {
    program_.finish();
    const std::lock_guard lock(mutex_);
    chip_gone_ = true;
    changed_.notify_all();
  };
  auto page = SharedPages::make(sizeof(Page));
  auto slots = SharedPages::make(NodeCopies::bytes);
  auto child = page && slots ? rooms_.start_chip() : (page ? slots.error() : page.error());
  if (!child) {
    no_process(child.error());
    return over();
  }
  new (page->base()) Page{};
  {
    const std::lock_guard lock(mutex_);
    page_ = *std::move(page);
    slots_ = std::make_shared<SharedPages>(*std::move(slots));
    chip_ = std::make_unique<Link>((*child)->take_stream(), Link::WhenFull::go_down);
    copies_.emplace(slots_->base(),
                    NodeCopies::Ways{
                        [this](std::uint64_t number, Kind kind, const CopyCall& call) {
                          Writer words;
                          words.put(call);
                          (void)chip_->send(kind, number, words.bytes());
                        },
                        [this](std::uint64_t number, std::uint64_t offset, std::span<const std::byte> bytes) {
                          Writer words;
                          words.put(GotPart{offset}).raw(bytes.data(), bytes.size());
                          (void)program_.send(Kind::part, number, words.bytes());
                        },
                        [this](std::uint64_t number, std::int32_t code, const std::string& text) {
                          answer(number, code, text);
                        },
                        [this] { return program_.has_room(); }});
    if (program_gone_) chip_->shut();
  }
  if (chip_->is_down() && !program_.is_down()) {
    (void)(*child)->end(false);
    no_process(too_few_descriptors());
    return over();
  }
  const auto served = chip_->serve(hears_chip_, (*child)->ended());
  const auto how = (*child)->end(chip_->was_closed());
  bury(how, served ? std::string() : served.error().message());
  over();
}

/// It is this machine's fault, and both sides hear that.
void Relay::no_process(const Error& why) {
  if (rooms_.log) rooms_.log("cannot serve a guest: " + why.message());
  Writer words;
  words.text("the node has no process for it: " + why.message());
  (void)program_.send(Kind::obituary, 0, words.bytes());
}

/// The program hears of what the chip died; there is nothing more to say after that.
void Relay::bury(const std::string& how, const std::string& garbage) {
  Writer words;
  words.text(page_ ? death_of(*reinterpret_cast<const Page*>(page_->base()), {}, how, garbage) : how);
  (void)program_.send(Kind::obituary, 0, words.bytes());
}

std::shared_ptr<SharedPages> Relay::piece_with(std::uint32_t piece, std::uint64_t offset,
                                               std::uint64_t bytes) const {
  const auto found = pieces_.find(piece);
  if (found == pieces_.end()) return nullptr;
  const auto& pages = *found->second;
  return offset <= pages.size() && bytes <= pages.size() - offset ? found->second : nullptr;
}

Result<void> Relay::from_chip(Frame& frame) {
  switch (frame.kind) {
    case Kind::answer:
      return answered(frame);
    case Kind::completions:
      ends(frame);
      break;
    case Kind::dump: {
      if (frame.descriptors.empty()) break;
      Reader reader(frame.payload);
      troupe_dump_record record{};
      std::string name;
      if (!read_dump(reader, record, name)) return misread("a dump that cannot be read");
      if (record.bytes > most_dumped || !frame.descriptors[0].valid()) return {};  // it is left out
      const auto pages =
          SharedPages::map(std::move(frame.descriptors[0]), static_cast<std::size_t>(record.bytes));
      if (!pages) return {};
      record.data = pages->base();
      Writer words;
      put_dump(words, record, true);
      program_.wait_for_room();
      (void)program_.send(Kind::dump, 0, words.bytes());
      return {};
    }
    case Kind::trace:
    case Kind::log:
      program_.wait_for_room();
      break;
    default:
      break;
  }
  (void)program_.send(frame.kind, frame.number, frame.payload);
  return {};
}

Result<void> Relay::answered(Frame& frame) {
  Reader reader(frame.payload);
  const auto code = reader.get<std::int32_t>();
  const std::string text(reader.text());
  if (!reader.fine()) return misread("an answer that cannot be read");
  std::vector<Written> written;
  {
    const std::lock_guard lock(mutex_);
    if ((frame.number & waited_for) != 0) {
      if (!copies_->answered(frame.number, code, text)) return misread("an answer to nothing");
      if (stalled_ && copies_->has_room()) program_.wake();  // goes on there
      if (lent_[0].in_use || lent_[1].in_use) changed_.notify_all();
      return {};
    }
    if (calls_ != 0) --calls_;
    if (making_windows_.erase(frame.number) != 0) return window_made(frame);
    if (const auto commit = commits_.find(frame.number); commit != commits_.end()) {
      // Whoever wanted to join it has.
      if (code == 0) window_is_done(commit->second);
      commits_.erase(commit);
    }
    // The windows of the life that has ended are nobody's, and the next one counts anew.
    if (resets_.erase(frame.number) != 0 && code == 0) forget_windows();
    if (const auto run = waited_runs_.find(frame.number); run != waited_runs_.end()) {
      take_written(run->second, code == 0, written);
      waited_runs_.erase(run);
    }
  }
  spill(written);
  (void)program_.send(Kind::answer, frame.number, frame.payload);
  return {};
}

/// Its memory stays here, and gets a number by which other chips of the node can be given it.
Result<void> Relay::window_made(Frame& frame) {
  Reader reader(frame.payload);
  const auto code = reader.get<std::int32_t>();
  const std::string text(reader.text());
  if (code != 0) {
    (void)program_.send(Kind::answer, frame.number, frame.payload);
    return {};
  }
  const auto window = reader.get<std::uint64_t>();
  auto blob = reader.get<troupe_window_blob>();
  if (!reader.complete()) return misread("a window that cannot be read");
  window_is_done(window);  // one of that number, which there is no more
  WindowPlace place;
  place.node = rooms_.windows.node();
  if (!frame.descriptors.empty() && frame.descriptors[0].valid() && windows_.size() < most_windows) {
    place.number = rooms_.windows.keep(std::move(frame.descriptors[0]));
    windows_[window] = place.number;
  }
  if (place.number == 0 || !put_place(blob, place)) {
    window_is_done(window);
    answer(frame.number, TROUPE_DEVICE_UNSUPPORTED,
           "the window's memory cannot be joined from another machine");
    return {};
  }
  auto told = answer_of(0);
  told.put(window).put(blob);
  (void)program_.send(Kind::answer, frame.number, told.bytes());
  return {};
}

void Relay::ends(Frame& frame) {
  Reader reader(frame.payload);
  std::vector<troupe_completion> ends;
  std::vector<std::string> messages;
  if (!read_completions(reader, ends, messages)) return;  // the program says so
  std::vector<Written> written;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& end : ends) take_written(end.correlation, end.code == 0, written);
  }
  spill(written);
}

/// Under the mutex: a run has ended.
void Relay::take_written(std::uint64_t number, bool ended_well, std::vector<Written>& written) {
  const auto found = returns_.find(number);
  if (found == returns_.end()) return;
  for (const auto& region : found->second) {
    auto pages = ended_well ? piece_with(region.piece, region.offset, region.bytes) : nullptr;
    if (pages) written.push_back({std::move(pages), region});
  }
  regions_ -= found->second.size();
  returns_.erase(found);
}

/// It goes to the program before the end of its run does, and not faster than that takes it. Without the
/// mutex: who makes room needs it.
void Relay::spill(const std::vector<Written>& written) {
  Writer words;
  for (const auto& [pages, region] : written) {
    for (std::uint64_t done = 0; done < region.bytes; done += part_bytes) {
      const auto length = std::min(part_bytes, region.bytes - done);
      words.clear();
      words.put(PiecePart{region.offset + done, region.piece, 0})
          .raw(pages->base() + region.offset + done, static_cast<std::size_t>(length));
      program_.wait_for_room();
      if (!program_.send(Kind::spill, 0, words.bytes())) return;
    }
  }
}

void Relay::answer(std::uint64_t number, std::int32_t code, const std::string& text) {
  const auto words = answer_of(code, text);
  (void)program_.send(Kind::answer, number, words.bytes());
}

}  // namespace troupe::platform::isolation
