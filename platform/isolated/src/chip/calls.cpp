// The calls that come over the link, on the real library.
#include <algorithm>
#include <array>
#include <utility>

#include "chip/process.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/digest.hpp"

namespace troupe::platform::isolation {

namespace {

Writer failure(const Error& error) { return answer_of(error.code().value, render(error)); }

}  // namespace

Writer Process::lacks(const char* symbol) const {
  return answer_of(TROUPE_DEVICE_UNSUPPORTED,
                   "platform '" + api_.name + "' lacks the optional function '" + symbol + "'");
}

Writer Process::coded(std::int32_t code) {
  if (code == 0 || context_ == nullptr) return answer_of(code);
  std::int32_t last = 0;
  std::array<char, 4096> text{};
  if (api_.device_last_error(context_, &last, text.data(), text.size()) != 0 || last != code) text[0] = '\0';
  return answer_of(code, text.data());
}

Writer Process::answer(Call& call, std::vector<comm::FileDescriptor>& descriptors) {
  Reader reader(call.payload);
  if (call.kind == Kind::ping) return answer_of(0);
  if (call.kind == Kind::set_up) return set_up(reader, call);
  if (context_ == nullptr) return misread();
  switch (call.kind) {
    case Kind::set_option: {
      const std::string name(reader.text()), value(reader.text());
      if (!reader.complete()) return misread();
      return coded(api_.set_device_option(context_, name.c_str(), value.c_str()));
    }
    case Kind::set_device: {
      const auto made = coded(api_.set_device(context_, reader.get<std::int32_t>()));
      let_exit_pass();
      return made;
    }
    case Kind::reset:
      return coded(api_.reset_device(context_));
    case Kind::destroy:
      return destroy();
    case Kind::allocate: {
      std::uint64_t address = 0;
      const auto code = api_.device_malloc_ctx(context_, reader.get<std::uint64_t>(), &address);
      return coded(code, address);
    }
    case Kind::free:
      return coded(api_.device_free_ctx(context_, reader.get<std::uint64_t>()));
    case Kind::copy_to:
      return copy(reader, true);
    case Kind::copy_from:
      return copy(reader, false);
    case Kind::register_callable:
      return add_callable(reader, call);
    case Kind::unregister_callable:
      return coded(api_.unregister_callable(context_, reader.get<std::uint64_t>()));
    case Kind::register_graph:
      return add_graph(reader);
    case Kind::unregister_graph:
      if (api_.unregister_graph == nullptr) return lacks("unregister_graph");
      return coded(api_.unregister_graph(context_, reader.get<std::uint64_t>()));
    case Kind::run:
      return run(reader);
    case Kind::properties:
      return properties();
    case Kind::status:
      return status();
    case Kind::window_create:
      return create_window(reader, descriptors);
    case Kind::window_import:
      return import_window(reader, call);
    case Kind::window_commit: {
      if (api_.window_commit == nullptr) return lacks("window_commit");
      troupe_window_view view{};
      const auto code = api_.window_commit(context_, reader.get<std::uint64_t>(), &view);
      return coded(code, view);
    }
    case Kind::window_abort: {
      if (api_.window_abort == nullptr) return lacks("window_abort");
      const auto window = reader.get<std::uint64_t>();
      const auto code = reader.get<std::int32_t>();
      return coded(api_.window_abort(context_, window, code, reader.get<std::uint32_t>()));
    }
    case Kind::window_release:
      if (api_.window_release == nullptr) return lacks("window_release");
      return coded(api_.window_release(context_, reader.get<std::uint64_t>()));
    default:
      return session_call(call.kind, reader);
  }
}

Result<void> Process::launch(Reader& reader) {
  const auto settled = reader.get<std::uint64_t>(), count = reader.get<std::uint64_t>();
  RunBatch batch;
  if (context_ == nullptr || count > reader.left() ||
      !batch.read(reader, static_cast<std::uint32_t>(count), locator()) || !reader.complete()) {
    return Error(Errc::internal, "runs that cannot be read");
  }
  for (std::size_t from = 0; from < batch.runs().size();) {
    auto to = from + 1;
    const bool is_graph = batch.is_graph(from);
    while (!is_graph && to < batch.runs().size() && !batch.is_graph(to)) ++to;
    launch_taken(batch.runs().subspan(from, to - from), is_graph, settled);
    from = to;
  }
  return {};
}

Writer Process::copy(Reader& reader, bool to_device) {
  const auto call = reader.get<CopyCall>();
  if (!reader.complete()) return misread();
  if (call.piece == 0) {
    // Whether there is such a range: its first and its last byte.
    std::byte dummy{};
    const auto last = call.device + call.bytes - 1;
    if (call.bytes == 0 || last < call.device)
      return answer_of(TROUPE_DEVICE_OUT_OF_RANGE, "a range of bytes that ends before it begins");
    if (const auto code = api_.copy_from_device_ctx(context_, &dummy, call.device, 1); code != 0)
      return coded(code);
    const auto code = api_.copy_from_device_ctx(context_, &dummy, last, 1);
    if (code != TROUPE_DEVICE_BAD_ADDRESS && code != TROUPE_DEVICE_OUT_OF_RANGE) return coded(code);
    return answer_of(TROUPE_DEVICE_OUT_OF_RANGE,
                     std::to_string(call.bytes) + " bytes are more than there are from that address on");
  }
  auto* const host = locate(call.piece, call.offset, call.bytes);
  if (host == nullptr) {
    return answer_of(TROUPE_DEVICE_SYSTEM, "the chip's process cannot map the host's memory (ulimit -v, -n)");
  }
  return coded(to_device ? api_.copy_to_device_ctx(context_, call.device, host, call.bytes)
                         : api_.copy_from_device_ctx(context_, host, call.device, call.bytes));
}

Result<const troupe_module_v1*> Process::module_of(const std::string& file, const std::string& name,
                                                   const std::string& build) {
  const std::lock_guard lock(mutex_);
  auto known = modules_.find(file);
  if (known == modules_.end()) {
    auto opened = runtime::Module::open(file);
    let_exit_pass();
    if (!opened) {
      return Error(Errc::bad_callable, "the process of the chip cannot load module '" + file + "'")
          .caused_by(opened.error());
    }
    known = modules_.emplace(file, *std::move(opened)).first;
  }
  if (known->second.name() != name) {
    return Error(Errc::bad_callable, "'" + file + "' holds module '" + std::string(known->second.name()) +
                                         "' now, no longer '" + name + "'");
  }
  const auto here = runtime::object_identity(known->second.raw());
  if (!here) return here.error();
  if (runtime::to_string(*here) != build) {
    return Error(Errc::bad_callable,
                 "'" + file + "' was replaced since the program loaded module '" + name + "' from it",
                 "start the program again");
  }
  return known->second.raw();
}

Writer Process::add_callable(Reader& reader, Call& call) {
  const auto news = reader.get<CallableNews>();
  const std::string name(reader.text()), file(reader.text()), module(reader.text()), build(reader.text());
  std::vector<std::uint8_t> signature;
  if (!reader.values(signature, news.signature_count)) return misread();
  std::optional<SharedPages> pages;
  const void* bytes = nullptr;
  if (news.has_bytes != 0 && call.descriptors.empty()) {
    bytes = reader.take(static_cast<std::size_t>(news.byte_count)).data();
    if (bytes == nullptr) bytes = &news;  // of no bytes
  } else if (news.has_bytes != 0) {
    auto mapped = SharedPages::map(std::move(call.descriptors[0]), static_cast<std::size_t>(news.byte_count));
    if (!mapped) return failure(mapped.error());
    pages = *std::move(mapped);
    bytes = pages->base();
  }
  if (!reader.complete()) return misread();
  troupe_callable callable{};
  callable.name = news.has_name != 0 ? name.c_str() : nullptr;
  callable.bytes = bytes;
  callable.byte_count = news.byte_count;
  callable.core_kind = news.core_kind;
  callable.signature = signature.empty() ? nullptr : signature.data();
  callable.signature_count = news.signature_count;
  if (news.has_module != 0) {
    const auto found = module_of(file, module, build);
    if (!found) return failure(found.error());
    callable.module = *found;
  }
  std::uint64_t id = 0;
  const auto code = api_.register_callable(context_, &callable, &id);
  let_exit_pass();
  return coded(code, id);
}

Writer Process::run(Reader& reader) {
  RunBatch batch;
  if (!batch.read(reader, 1, locator()) || !reader.complete()) return misread();
  troupe_completion end{};
  const auto code = api_.run_runtime(context_, batch.runs().data(), &end);
  end.message = nullptr;
  auto told = coded(code);
  told.put(end);
  return told;
}

Writer Process::properties() {
  troupe_device_properties properties{};
  properties.size = sizeof properties;
  const auto code = api_.device_properties(context_, &properties);
  const std::string name = properties.device_name != nullptr ? properties.device_name : "";
  properties.device_name = nullptr;
  auto told = coded(code, properties);
  if (code == 0) told.text(name);
  return told;
}

Writer Process::status() {
  troupe_device_status status{};
  std::vector<troupe_core_status> cores(128);
  std::size_t count = 0;
  std::int32_t code = 0;
  for (;;) {
    status.size = sizeof status;
    code = api_.device_status(context_, &status, cores.data(), cores.size(), &count);
    if (code != 0 || count <= cores.size() || count > 65536) break;
    cores.resize(count);
  }
  auto told = coded(code, status);
  if (code == 0) told.raw(cores.data(), std::min(count, cores.size()) * sizeof(troupe_core_status));
  return told;
}

Writer Process::destroy() {
  const auto code = api_.destroy_device_context(context_);
  if (code != 0) return coded(code);
  context_ = nullptr;
  return answer_of(0);
}

}  // namespace troupe::platform::isolation
