#include <cstring>
#include <utility>

#include "context.hpp"
#include "troupe/comm/errc.hpp"

// Windows among the contexts of one script: plain memory that every rank of the process can reach.
namespace troupe::platform {

namespace {

struct BlobContent {
  static constexpr std::uint64_t magic_value = 0x5343'5249'5057'494E;
  std::uint64_t magic = magic_value;
  std::uint64_t domain[2] = {};
  std::uint64_t epoch = 0, bytes = 0;
  std::uint64_t address = 0;  // of the window: also tells a stale blob from the current one
  std::uint32_t rank = 0, rank_count = 0;
};
static_assert(sizeof(BlobContent) <= TROUPE_WINDOW_BLOB_BYTES);

}  // namespace

Result<std::uint64_t> ScriptedContext::window_create(const troupe_window_spec& spec,
                                                     troupe_window_blob& blob) {
  std::lock_guard lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready.error();
  if (spec.rank_count == 0 || spec.rank_count > runtime::limits::ranks || spec.rank >= spec.rank_count) {
    return Error{Errc::invalid_argument,
                 "rank " + std::to_string(spec.rank) + " of " + std::to_string(spec.rank_count) + " ranks"};
  }
  if (spec.bytes == 0) return Error{Errc::invalid_argument, "a window of 0 bytes"};
  if (spec.bytes > memory_.limit()) {
    return Error{Errc::out_of_memory, "no room for a window of " + std::to_string(spec.bytes) + " bytes"};
  }
  Window window;
  window.spec = spec;
  window.domain = script_->domain({spec.domain[0], spec.domain[1], spec.epoch});
  window.own = std::make_shared<ScriptedWindowMemory>();
  window.own->bytes = spec.bytes;
  window.own->memory = aligned_bytes(spec.bytes);
  if (!window.own->memory) {
    return Error{Errc::out_of_memory, "no room for a window of " + std::to_string(spec.bytes) + " bytes"};
  }
  std::memset(window.own->memory.get(), 0, spec.bytes);
  {
    std::lock_guard members{window.domain->mutex};
    auto& member = window.domain->members[spec.rank];
    if (!member.memory.expired()) {
      return Error{Errc::bad_window, "rank " + std::to_string(spec.rank) + " of this domain exists already"};
    }
    member = {window.own, weak_from_this()};
  }
  BlobContent content;
  content.domain[0] = spec.domain[0];
  content.domain[1] = spec.domain[1];
  content.epoch = spec.epoch;
  content.bytes = spec.bytes;
  content.address = address_of(window.own->memory.get());
  content.rank = spec.rank;
  content.rank_count = spec.rank_count;
  blob = {};
  std::memcpy(blob.bytes, &content, sizeof(content));
  blob.byte_count = sizeof(content);
  blob.fd = -1;
  windows_.emplace(next_id_, std::move(window));
  return next_id_++;
}

Result<ScriptedContext::Window*> ScriptedContext::find_window(std::uint64_t id) {
  if (auto ready = need_ready(); !ready) return ready.error();
  const auto found = windows_.find(id);
  if (found == windows_.end()) {
    return Error{Errc::unknown_window, "no window has the id " + std::to_string(id)};
  }
  return &found->second;
}

Result<void> ScriptedContext::window_import(std::uint64_t id, std::uint32_t rank,
                                            const troupe_window_blob& blob) {
  std::lock_guard lock{mutex_};
  auto found = find_window(id);
  if (!found) return found.error();
  auto& window = **found;
  const auto bad = [&](const char* what) {
    return Error{Errc::bad_window, "the blob of rank " + std::to_string(rank) + " " + what};
  };
  if (window.context) return Error{Errc::invalid_state, "the window is committed"};
  BlobContent content;
  if (blob.byte_count != sizeof(content)) return bad("has another size");
  std::memcpy(&content, blob.bytes, sizeof(content));
  if (content.magic != BlobContent::magic_value) return bad("is no window");
  const auto& spec = window.spec;
  if (content.domain[0] != spec.domain[0] || content.domain[1] != spec.domain[1] ||
      content.epoch != spec.epoch) {
    return bad("belongs to another domain or epoch");
  }
  if (content.rank_count != spec.rank_count || content.bytes != spec.bytes) {
    return bad("disagrees about ranks or bytes");
  }
  if (content.rank != rank || rank >= spec.rank_count) return bad("is another rank's");
  if (rank == spec.rank) return {};
  std::lock_guard members{window.domain->mutex};
  auto memory = window.domain->members[rank].memory.lock();
  if (!memory || address_of(memory->memory.get()) != content.address) return bad("is stale");
  window.peers[rank] = std::move(memory);
  return {};
}

Result<troupe_window_view> ScriptedContext::window_commit(std::uint64_t id) {
  std::lock_guard lock{mutex_};
  auto found = find_window(id);
  if (!found) return found.error();
  auto& window = **found;
  if (window.context) return Error{Errc::invalid_state, "the window is committed"};
  auto context = std::make_unique<runtime::CommContext>();
  context->rank = window.spec.rank;
  context->rank_count = window.spec.rank_count;
  context->window_size = window.spec.bytes;
  for (std::uint32_t rank = 0; rank < window.spec.rank_count; ++rank) {
    const auto peer = window.peers.find(rank);
    if (rank != window.spec.rank && peer == window.peers.end()) {
      return Error{Errc::invalid_state, "rank " + std::to_string(rank) + " is not imported"};
    }
    const auto& memory = rank == window.spec.rank ? window.own : peer->second;
    context->windows_in[rank] = context->windows_out[rank] = address_of(memory->memory.get());
  }
  {
    std::lock_guard members{window.domain->mutex};
    if (window.domain->abort_code != 0) return Error{Errc::aborted, "the domain was given up"};
  }
  window.context = std::move(context);
  troupe_window_view view{};
  view.context_address = address_of(window.context.get());
  view.local_base = address_of(window.own->memory.get());
  view.bytes = window.spec.bytes;
  return view;
}

Result<void> ScriptedContext::window_abort(std::uint64_t id, std::int32_t code, std::uint32_t rank) {
  if (code == 0) return Error{Errc::invalid_argument, "window_abort needs a code"};
  std::vector<std::shared_ptr<ScriptedContext>> members;
  {
    std::lock_guard lock{mutex_};
    auto found = find_window(id);
    if (!found) return found.error();
    auto& domain = *(*found)->domain;
    std::lock_guard domain_lock{domain.mutex};
    if (domain.abort_code == 0) {  // the first reason stays
      domain.abort_code = code;
      domain.abort_rank = rank;
    }
    for (const auto& [peer, member] : domain.members) {
      if (auto context = member.context.lock()) members.push_back(std::move(context));
    }
  }
  for (const auto& member : members) member->window_was_aborted();
  return {};
}

Result<void> ScriptedContext::window_release(std::uint64_t id) {
  std::lock_guard lock{mutex_};
  auto found = find_window(id);
  if (!found) return found.error();
  auto& window = **found;
  const auto inside = [&](std::uint64_t used) {
    return window.own->contains(used) || (window.context && used == address_of(window.context.get()));
  };
  if (in_use(inside)) return Error{Errc::busy, "an unfinished run uses the window"};
  windows_.erase(id);
  return {};
}

}  // namespace troupe::platform
