#include "chip/process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "troupe/platform/device_library.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::platform::isolation {
namespace {

/// Copies up to here take less than a thread.
constexpr std::uint64_t quick_bytes = std::uint64_t{512} << 10U;
/// Dumps up to here go along with their record.
constexpr std::uint64_t most_inlined = std::uint64_t{64} << 10U;

bool takes_long(Kind kind, std::span<const std::byte> payload) {
  switch (kind) {
    case Kind::set_up:
    case Kind::set_device:
    case Kind::reset:
    case Kind::destroy:
    case Kind::register_callable:
    case Kind::unregister_callable:
    case Kind::register_graph:
    case Kind::unregister_graph:
    case Kind::run:
    case Kind::window_create:
    case Kind::window_commit:
    case Kind::comm_init:
    case Kind::comm_alloc_windows:
    case Kind::comm_barrier:
    case Kind::comm_destroy:
    case Kind::acl_ready:
      return true;
    case Kind::copy_to:
    case Kind::copy_from: {
      Reader reader(payload);
      return reader.get<CopyCall>().bytes > quick_bytes;
    }
    default:
      return false;
  }
}

}  // namespace

Process::Process(comm::FileDescriptor socket)
    : link_(local_stream(std::move(socket)), Link::WhenFull::wait) {}

void Process::serve() {
  Writer hello;
  hello.put(this_build());
  if (!link_.send(Kind::hello, 0, hello.bytes())) return;
  (void)link_.serve(*this);
  if (page_ != nullptr && ::fcntl(socket_of_chip, F_GETFD) < 0) page_->lost_descriptors.store(1);
}

Result<void> Process::frame(Frame& frame) {
  Reader reader(frame.payload);
  switch (frame.kind) {
    case Kind::launch:
      return launch(reader);
    case Kind::abort:
      if (context_ != nullptr) (void)api_.abort_runs(context_, reader.get<std::uint64_t>());
      return {};
    case Kind::share:
    case Kind::unshare:
      return share(reader, frame);
    default:
      break;
  }
  Call call{frame.kind, frame.number, {}, std::move(frame.descriptors)};
  call.payload.assign(frame.payload.begin(), frame.payload.end());
  if (takes_long(call.kind, call.payload)) {
    apart(std::move(call));
  } else {
    make(call);
  }
  return {};
}

void Process::apart(Call call) {
  struct Order {
    Process* process;
    Call call;
  };
  auto order = std::make_unique<Order>(Order{this, std::move(call)});
  const bool started = threads_.start_thread(
      "troupe-call",
      [](void* argument) {
        const std::unique_ptr<Order> own(static_cast<Order*>(argument));
        own->process->make(own->call);
      },
      order.get());
  if (started) {
    (void)order.release();
    return;
  }
  const auto no_thread = answer_of(TROUPE_DEVICE_SYSTEM, "the chip's process gets no thread");
  (void)link_.send(Kind::answer, order->call.number, no_thread.bytes());
}

void Process::make(Call& call) {
  std::vector<comm::FileDescriptor> along;
  Writer told;
  try {
    told = answer(call, along);
  } catch (const std::bad_alloc& failure) {
    told = answer_of(TROUPE_DEVICE_SYSTEM, "the chip's process: " + runtime::text_of(failure));
  } catch (const std::exception& failure) {
    told = answer_of(TROUPE_DEVICE_INTERNAL, failure.what());
  }
  std::vector<int> descriptors;
  for (const auto& descriptor : along) descriptors.push_back(descriptor.get());
  (void)link_.send(Kind::answer, call.number, told.bytes(), descriptors);
  // Nothing is left to be done here; what is still on its way leaves first.
  if (call.kind == Kind::destroy && context_ == nullptr) link_.finish();
}

// --- what the host lends to the platform, here -------------------------------------------------------------

void Process::fill_host(const SetUp& facts) {
  host_.abi_version = TROUPE_DEVICE_ABI_VERSION;
  host_.size = sizeof host_;
  host_.data = this;
  host_.log = [](void* data, std::int32_t level, std::int32_t code, const char* text) {
    auto& self = *static_cast<Process*>(data);
    if (level == TROUPE_LOG_ERROR && self.context_ == nullptr) self.said_ = text != nullptr ? text : "";
    Writer line;
    line.put(level).put(code).text(text != nullptr ? std::string_view(text).substr(0, 8192)
                                                   : std::string_view());
    (void)self.link_.send(Kind::log, 0, line.bytes());
  };
  host_.now = [](void* data) { return static_cast<Process*>(data)->threads_.now(); };
  host_.post = [](void* data, std::uint64_t delay_ns, void (*task)(void*, std::int32_t), void* argument) {
    auto& threads = static_cast<Process*>(data)->threads_;
    return threads.post(delay_ns, task, argument) ? 0 : std::int32_t{TROUPE_DEVICE_SYSTEM};
  };
  host_.start_thread = [](void* data, const char* name, void (*body)(void*), void* argument) {
    auto& threads = static_cast<Process*>(data)->threads_;
    return threads.start_thread(name, body, argument) ? 0 : std::int32_t{TROUPE_DEVICE_SYSTEM};
  };
  host_.complete = [](void* data, const troupe_completion* ends, std::size_t count) {
    static_cast<Process*>(data)->send_ends({ends, count});
  };
  host_.running = [](void* data, troupe_running* what) {
    auto& self = *static_cast<Process*>(data);
    if (what != nullptr && what->where == nullptr) what->where = self.where_.c_str();
    self.page_->note(what, self.threads_.now());
    return set_running(what);
  };
  if (facts.wants_trace != 0) {
    host_.trace = [](void* data, const troupe_trace_event* events, std::size_t count) {
      static_cast<Process*>(data)->send_trace(events, count);
    };
  }
  if (facts.wants_dump != 0) {
    host_.dump = [](void* data, const troupe_dump_record* record) {
      static_cast<Process*>(data)->send_dump(*record);
    };
  }
}

void Process::send_ends(std::span<const troupe_completion> ends) {
  while (!ends.empty()) {
    Writer news;
    ends = ends.subspan(put_completions(news, ends));
    (void)link_.send(Kind::completions, 0, news.bytes());
  }
}

void Process::send_trace(const troupe_trace_event* events, std::size_t count) {
  for (std::span left(events, count); !left.empty();) {
    Writer news;
    left = left.subspan(put_trace(news, left));
    (void)link_.send(Kind::trace, 0, news.bytes());
  }
}

void Process::send_dump(const troupe_dump_record& record) {
  Writer news;
  if (record.bytes <= most_inlined) {
    put_dump(news, record, true);
    (void)link_.send(Kind::dump, 0, news.bytes());
    return;
  }
  auto pages = SharedPages::make(static_cast<std::size_t>(record.bytes));
  if (!pages) return;  // no memory: it is left out
  std::memcpy(pages->base(), record.data, static_cast<std::size_t>(record.bytes));
  put_dump(news, record, false);
  const int descriptor = pages->descriptor();
  (void)link_.send(Kind::dump, 0, news.bytes(), {&descriptor, 1});
}

/// A kernel that calls exit() ends the process at once: its destructors would run under the feet of the other
/// threads, and might never end. Said again after each library that came, as the latest is asked first.
void Process::let_exit_pass() {
  (void)::on_exit(
      [](int code, void*) {
        (void)std::fflush(stdout);
        ::_exit(code);
      },
      nullptr);
}

Writer Process::set_up(Reader& reader, Call& call) {
  const auto facts = reader.get<SetUp>();
  const std::string library(reader.text());
  where_ = reader.text();
  if (!reader.complete() || context_ != nullptr || facts.page_bytes != sizeof(Page) ||
      call.descriptors.size() != 2) {
    return misread();
  }
  if (!call.descriptors[0].valid() || !call.descriptors[1].valid()) {
    return answer_of(TROUPE_DEVICE_SYSTEM, "the chip's process may not open files (ulimit -n)");
  }
  auto page = SharedPages::map(std::move(call.descriptors[0]), sizeof(Page));
  if (!page) return answer_of(page.error().code().value, page.error().message());
  page->close_descriptor();
  page_memory_ = *std::move(page);
  page_ = reinterpret_cast<Page*>(page_memory_->base());
  auto staging =
      SharedPages::map(std::move(call.descriptors[1]), static_cast<std::size_t>(facts.staging_bytes));
  if (!staging) return answer_of(staging.error().code().value, staging.error().message());
  staging->close_descriptor();
  {
    auto kept = std::make_shared<SharedPages>(*std::move(staging));
    const std::lock_guard lock(mutex_);
    pieces_[staging_piece] = {kept->base(), kept->size(), kept};
  }
  auto opened = DeviceLibrary::open(library);
  if (!opened) return answer_of(opened.error().code().value, render(opened.error()));
  api_ = opened->api();
  let_exit_pass();
  fill_host(facts);
  auto* const made = api_.create_device_context(&host_);
  if (made == nullptr) {
    return answer_of(TROUPE_DEVICE_INTERNAL, "platform '" + api_.name + "' created no context" +
                                                 (said_.empty() ? std::string() : ": " + said_));
  }
  context_ = made;
  crash_report_.emplace([this](const Crash& crash) { page_->say(crash.sentence); });
  return answer_of(0);
}

// --- memory ------------------------------------------------------------------------------------------------

Result<void> Process::share(Reader& reader, Frame& frame) {
  const auto news = reader.get<ShareNews>();
  if (!reader.complete() || news.piece <= staging_piece) return Error(Errc::internal, "no piece of memory");
  Piece piece;
  if (frame.kind == Kind::share && frame.descriptors.size() == 1 && frame.descriptors[0].valid()) {
    // What cannot be mapped is not there: who uses it is told so.
    auto mapped = SharedPages::map(std::move(frame.descriptors[0]), static_cast<std::size_t>(news.bytes));
    if (mapped) {
      mapped->close_descriptor();
      piece.pages = std::make_shared<SharedPages>(*std::move(mapped));
      piece.base = piece.pages->base();
      piece.bytes = piece.pages->size();
    }
  }
  const std::lock_guard lock(mutex_);
  if (frame.kind == Kind::share) {
    pieces_[news.piece] = std::move(piece);
  } else {
    pieces_.erase(news.piece);
  }
  return {};
}

std::byte* Process::locate(std::uint32_t piece, std::uint64_t offset, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = pieces_.find(piece);
  if (found == pieces_.end()) return nullptr;
  const auto& there = found->second;
  return offset <= there.bytes && bytes <= there.bytes - offset ? there.base + offset : nullptr;
}

RunBatch::Locate Process::locator() {
  return [this](std::uint32_t piece, std::uint64_t offset, std::uint64_t bytes) {
    return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(locate(piece, offset, bytes)));
  };
}

}  // namespace troupe::platform::isolation
