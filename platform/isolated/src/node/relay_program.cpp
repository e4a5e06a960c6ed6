// A chip of a node: what the program elsewhere says.
#include <cstring>
#include <utility>

#include "node/relay.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t most_pieces = 4096, most_uploads = 16, most_text = 256;
// What a program can have under way at once; each is more than one that keeps to the device ABI has.
constexpr std::size_t most_calls = 1024, most_runs = std::size_t{1} << 17U,
                      most_regions = std::size_t{1} << 22U;

/// What the chip's process makes, some of it on a thread, and answers.
bool is_call(Kind kind) {
  switch (kind) {
    case Kind::launch:
    case Kind::abort:
    case Kind::share:
    case Kind::unshare:
    case Kind::put:
    case Kind::get:
    case Kind::fill:
    case Kind::returns:
      return false;
    default:
      return true;
  }
}

}  // namespace

void Relay::pass_on(const Frame& frame, std::span<const std::byte> payload,
                    std::span<const int> descriptors) {
  const bool sent = chip_->send(frame.kind, frame.number, payload, descriptors);
  if (!is_call(frame.kind)) return;
  if (sent || chip_->is_down()) {
    ++calls_;
  } else {
    answer(frame.number, TROUPE_DEVICE_SYSTEM, too_few_descriptors().message());
  }
}

/// What is wrong ends the connection; the program hears what it was.
Result<void> Relay::hear_program(Frame& frame) {
  auto heard = from_program(frame);
  if (!heard) {
    Writer words;
    words.text("the node was sent " + heard.error().message());
    (void)program_.send(Kind::obituary, 0, words.bytes());
  }
  return heard;
}

Result<void> Relay::from_program(Frame& frame) {
  const std::lock_guard lock(mutex_);
  if (chip_gone_) return {};
  if (!chip_) return misread("a call before the chip's process is there");
  if ((frame.number & waited_for) != 0 && frame.kind != Kind::returns) return misread("an impossible number");
  if (is_call(frame.kind) && calls_ >= most_calls) {
    answer(
        frame.number, TROUPE_DEVICE_BUSY,
        std::to_string(calls_) + " calls of this program wait for the chip, " + called_ + " takes no more");
    return {};
  }
  Reader reader(frame.payload);
  switch (frame.kind) {
    case Kind::set_up:
      return set_up(reader, frame);
    case Kind::set_option: {
      // How many chips share the devices here is nothing that the program knows.
      const std::string name(reader.text());
      if (name != "chips") break;
      Writer words;
      pass_on(frame, words.text(name).text(std::to_string(devices_end_)).bytes());
      return {};
    }
    case Kind::set_device: {
      // The chip is the one that was asked for at the door.
      const auto number = reader.get<std::int32_t>();
      Writer words;
      pass_on(frame, words.put(number == 0 ? device_ : std::int32_t{-1}).bytes());
      return {};
    }
    case Kind::share:
    case Kind::unshare:
      return share(reader, frame);
    case Kind::fill:
      return fill(reader);
    case Kind::returns:
      return returns(reader, frame.number);
    case Kind::put:
      return put(reader, frame.number);
    case Kind::get: {
      const auto call = reader.get<GetCall>();
      if (!reader.complete()) return misread("a copy that cannot be read");
      if (!copies_->may_begin(frame.number)) return misread("two copies of one number");
      if (copies_->under_way() >= most_copies) return misread("too many copies at once");
      copies_->get(frame.number, call);
      return {};
    }
    case Kind::copy_to:
    case Kind::copy_from:
      // Only whether there is such a range.
      if (const auto call = reader.get<CopyCall>(); call.piece != 0 && call.bytes != 0)
        return misread("a copy from memory that is elsewhere");
      break;
    case Kind::launch:
    case Kind::run:
      return runs(reader, frame);
    case Kind::register_callable:
      return add_callable(reader, frame);
    case Kind::find_module:
      return find_module(reader, frame);
    case Kind::module_part:
      return module_part(reader, frame);
    case Kind::window_create:
      making_windows_.insert(frame.number);
      break;
    case Kind::reset:
      resets_.insert(frame.number);
      break;
    case Kind::window_import:
      return import_window(reader, frame);
    case Kind::window_commit:
      commits_[frame.number] = reader.get<std::uint64_t>();
      break;
    case Kind::window_abort:
    case Kind::window_release:
      window_is_done(reader.get<std::uint64_t>());
      break;
    case Kind::comm_init:
    case Kind::comm_alloc_windows:
    case Kind::comm_local_base:
    case Kind::comm_window_size:
    case Kind::comm_barrier:
    case Kind::comm_destroy:
      answer(frame.number, TROUPE_DEVICE_UNSUPPORTED,
             "rank programs meet on one machine: comm_* is not there for chips of a node elsewhere");
      return {};
    case Kind::comm_abort:  // there is nothing to give up
      answer(frame.number, 0, {});
      return {};
    case Kind::destroy:
    case Kind::allocate:
    case Kind::free:
    case Kind::unregister_callable:
    case Kind::register_graph:
    case Kind::unregister_graph:
    case Kind::properties:
    case Kind::status:
    case Kind::ping:
    case Kind::abort:
    case Kind::acl_ready:
    case Kind::create_stream:
    case Kind::destroy_stream:
      break;
    default:
      return misread("of an unknown kind");
  }
  pass_on(frame, frame.payload);
  return {};
}

/// The library, and memory to have in common, are the node's.
Result<void> Relay::set_up(Reader& reader, const Frame& frame) {
  auto facts = reader.get<SetUp>();
  (void)reader.text();
  const std::string where(reader.text().substr(0, most_text));
  if (!reader.complete() || pieces_.contains(staging_piece))
    return misread("a beginning that cannot be read");
  if (facts.staging_bytes > std::uint64_t{256} << 20U) return misread("absurdly much memory");
  auto staging = SharedPages::make(static_cast<std::size_t>(facts.staging_bytes));
  if (!staging) {
    answer(frame.number, TROUPE_DEVICE_SYSTEM, staging.error().message());
    return {};
  }
  facts.page_bytes = sizeof(Page);
  Writer words;
  words.put(facts).text(rooms_.library).text(where);
  const int shared[] = {page_->descriptor(), staging->descriptor()};
  pass_on(frame, words.bytes(), shared);
  Writer slots;
  slots.put(ShareNews{slots_->size(), NodeCopies::piece, 0});
  const int memory = slots_->descriptor();
  (void)chip_->send(Kind::share, 0, slots.bytes(), {&memory, 1});
  page_->close_descriptor();
  slots_->close_descriptor();
  staging->close_descriptor();
  pieces_[staging_piece] = std::make_shared<SharedPages>(*std::move(staging));
  return {};
}

Result<void> Relay::share(Reader& reader, const Frame& frame) {
  const auto news = reader.get<ShareNews>();
  if (!reader.complete() || news.piece <= staging_piece || news.piece >= NodeCopies::piece)
    return misread("no piece of memory");
  if (frame.kind == Kind::unshare) {
    pieces_.erase(news.piece);
    pass_on(frame, frame.payload);
    return {};
  }
  if (pieces_.size() > most_pieces) return misread("too many pieces of memory");
  // What is not there is told to who uses it.
  auto pages = SharedPages::make(static_cast<std::size_t>(news.bytes));
  if (!pages) return {};
  const int descriptor = pages->descriptor();
  pass_on(frame, frame.payload, {&descriptor, 1});
  pages->close_descriptor();
  pieces_[news.piece] = std::make_shared<SharedPages>(*std::move(pages));
  return {};
}

Result<void> Relay::fill(Reader& reader) {
  const auto part = reader.get<PiecePart>();
  const auto bytes = reader.take(reader.left());
  if (!reader.fine()) return misread("bytes that cannot be read");
  const auto to = piece_with(part.piece, part.offset, bytes.size());
  if (to && !bytes.empty()) std::memcpy(to->base() + part.offset, bytes.data(), bytes.size());
  return {};
}

Result<void> Relay::returns(Reader& reader, std::uint64_t number) {
  std::vector<Region> regions;
  if (!reader.values(regions, reader.left() / sizeof(Region)) || !reader.complete())
    return misread("regions that cannot be read");
  auto& kept = returns_[number];
  regions_ += regions.size() - kept.size();
  kept = std::move(regions);
  if (returns_.size() > most_runs || regions_ > most_regions) return misread("too many runs at once");
  return {};
}

Result<void> Relay::put(Reader& reader, std::uint64_t number) {
  const auto part = reader.get<PutPart>();
  const auto bytes = reader.take(reader.left());
  if (!reader.fine() || bytes.empty() || bytes.size() > part_bytes)
    return misread("a copy that cannot be read");
  if (!copies_->may_put(number)) return misread("two copies of one number");
  if (copies_->under_way() >= most_copies) return misread("too many copies at once");
  if (copies_->put(number, part, bytes)) return {};
  stalled_ = Stalled{number, part, {bytes.begin(), bytes.end()}};
  program_.pause();
  return {};
}

/// On the program's thread: there may be room again.
void Relay::go_on() {
  const std::lock_guard lock(mutex_);
  if (!copies_ || chip_gone_) return;
  copies_->go_on();
  if (!stalled_ || !copies_->put(stalled_->number, stalled_->part, stalled_->payload)) return;
  stalled_.reset();
  program_.resume();
}

Result<void> Relay::runs(Reader& reader, const Frame& frame) {
  std::uint64_t count = 1;
  if (frame.kind == Kind::launch) {
    (void)reader.get<std::uint64_t>();
    count = reader.get<std::uint64_t>();
  }
  const bool is_call = frame.kind == Kind::run;
  const bool fine = count <= reader.left() && uses_pieces_only(reader, count, [&](std::uint64_t number) {
                      if (is_call && returns_.contains(number)) waited_runs_[frame.number] = number;
                    });
  if (!fine) return misread("runs that cannot be read, or that use memory which is not theirs");
  pass_on(frame, frame.payload);
  return {};
}

Result<void> Relay::add_callable(Reader& reader, const Frame& frame) {
  auto news = reader.get<CallableNews>();
  const std::string name(reader.text()), digits(reader.text()), module(reader.text());
  const auto build = reader.text();
  const auto rest = reader.take(reader.left());
  if (!reader.fine()) return misread("a callable that cannot be read");
  if (news.has_bytes != 0 && !may_ship_) {
    answer(frame.number, TROUPE_DEVICE_BAD_CALLABLE,
           "'" + name + "' comes as bytes, and you may not send code to " + called_ +
               " (the node says so with --ship NAME)");
    return {};
  }
  std::string path;
  if (news.has_module != 0) {
    const auto digest = digest_from(digits);
    const auto found = digest ? rooms_.modules.path_of(*digest) : std::nullopt;
    if (!found) {
      answer(frame.number, TROUPE_DEVICE_BAD_CALLABLE, "'" + name + "': no such module on " + called_);
      return {};
    }
    path = *found;
  }
  Writer words;
  words.put(news).text(name).text(path).text(module).text(build).raw(rest.data(), rest.size());
  pass_on(frame, words.bytes());
  return {};
}

Result<void> Relay::find_module(Reader& reader, const Frame& frame) {
  const auto asked = reader.get<ModuleAsked>();
  const std::string name(reader.text().substr(0, most_text));
  if (!reader.complete()) return misread("a module that cannot be read");
  const runtime::Digest digest{asked.digest};
  auto told = answer_of(0);
  if (rooms_.modules.path_of(digest)) {
    (void)program_.send(Kind::answer, frame.number, told.put(std::uint32_t{1}).bytes());
    return {};
  }
  if (!may_ship_) {
    answer(frame.number, TROUPE_DEVICE_BAD_CALLABLE,
           called_ + " does not have module '" + name + "' (sha256 " + runtime::short_string(digest) +
               "…), and you may not send it there (start the node with --module FILE, or with --ship NAME)");
    return {};
  }
  if (asked.bytes == 0 || asked.bytes > ModuleStore::most_bytes || uploads_.size() >= most_uploads)
    return misread("a module of an impossible size, or too many of them");
  if (uploads_.contains(digest)) {
    answer(frame.number, TROUPE_DEVICE_BUSY, "module '" + name + "' is being sent already");
    return {};
  }
  auto room = rooms_.modules.room_for(asked.bytes);
  if (!room) {
    answer(frame.number, TROUPE_DEVICE_CAPACITY_EXCEEDED,
           "there is no room for module '" + name + "' on " + called_ + ", which takes " +
               std::to_string(ModuleStore::most_shipped >> 30U) + " GiB of modules from a program");
    return {};
  }
  auto image = ModuleImage::make(name, asked.bytes);
  if (!image) {
    answer(frame.number, TROUPE_DEVICE_SYSTEM, image.error().message());
    return {};
  }
  uploads_.emplace(digest, Upload{asked, *std::move(image), *std::move(room)});
  (void)program_.send(Kind::answer, frame.number, told.put(std::uint32_t{0}).bytes());
  return {};
}

Result<void> Relay::module_part(Reader& reader, const Frame& frame) {
  const auto part = reader.get<ModulePart>();
  const auto bytes = reader.take(reader.left());
  const runtime::Digest digest{part.digest};
  const auto found = uploads_.find(digest);
  if (!reader.fine() || found == uploads_.end()) return misread("a part of a module that nobody asked for");
  auto& upload = found->second;
  if (part.offset != upload.image.bytes() || bytes.size() > upload.asked.bytes - part.offset)
    return misread("a part of a module at an impossible place");
  if (const auto added = upload.image.append(bytes); !added) {
    uploads_.erase(found);
    answer(frame.number, TROUPE_DEVICE_SYSTEM, added.error().message());
    return {};
  }
  if (upload.image.is_whole()) {
    const auto is = upload.image.seal();
    if (!is || *is != digest) {
      uploads_.erase(found);
      answer(frame.number, TROUPE_DEVICE_BAD_CALLABLE, "a module has changed while it was sent");
      return {};
    }
    rooms_.modules.ship(digest, std::move(upload.image), std::move(upload.room));
    uploads_.erase(found);
  }
  answer(frame.number, 0, {});
  return {};
}

Result<void> Relay::import_window(Reader& reader, const Frame& frame) {
  const auto window = reader.get<std::uint64_t>();
  const auto rank = reader.get<std::uint32_t>();
  auto blob = reader.get<troupe_window_blob>();
  if (!reader.complete()) return misread("a window that cannot be read");
  WindowPlace place;
  if (!take_place(blob, place) || place.node != rooms_.windows.node()) {
    answer(frame.number, TROUPE_DEVICE_BAD_WINDOW,
           "the window of rank " + std::to_string(rank) + " is on another machine than " + called_ +
               ": windows join chips of one machine");
    return {};
  }
  const auto memory = rooms_.windows.find(place.number);
  if (!memory.valid()) {
    answer(frame.number, TROUPE_DEVICE_BAD_WINDOW, "the window of rank " + std::to_string(rank) + " is gone");
    return {};
  }
  blob.fd = -1;
  Writer words;
  words.put(window).put(rank).put(blob);
  const int descriptor = memory.get();
  pass_on(frame, words.bytes(), {&descriptor, 1});
  return {};
}

}  // namespace troupe::platform::isolation
