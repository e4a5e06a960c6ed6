// The functions of the device ABI, for contexts in processes of their own.
#include <exception>
#include <new>

#include "host/context.hpp"
#include "host/host.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::platform::isolation {
namespace {

Context* of(troupe_device_context* handle) { return reinterpret_cast<Context*>(handle); }

/// No exception leaves the ABI.
template <class Call>
std::int32_t guarded(troupe_device_context* handle, Call&& call) noexcept {
  if (handle == nullptr) return TROUPE_DEVICE_INVALID_ARGUMENT;
  auto& context = *of(handle);
  try {
    return call(context);
  } catch (const std::bad_alloc& failure) {
    return context.note(TROUPE_DEVICE_SYSTEM, runtime::text_of(failure));
  } catch (const std::exception& failure) {
    return context.note(TROUPE_DEVICE_INTERNAL, failure.what());
  }
}

template <class... Values>
Writer with(const Values&... values) {
  Writer writer;
  (writer.put(values), ...);
  return writer;
}

troupe_device_context* create(const troupe_host* host) {
  if (host == nullptr || host->platform_data == nullptr) return nullptr;  // the table says what to load
  const auto refuse = [&](std::int32_t code, const std::string& text) -> troupe_device_context* {
    if (host->log != nullptr) host->log(host->data, TROUPE_LOG_ERROR, code, text.c_str());
    return nullptr;
  };
  if (host->abi_version >> 16 != TROUPE_DEVICE_ABI_MAJOR) {
    return refuse(TROUPE_DEVICE_VERSION_MISMATCH, "the host speaks another version of the device ABI");
  }
  try {
    const auto& settings = *static_cast<const std::shared_ptr<const Settings>*>(host->platform_data);
    auto context = std::make_unique<Context>(*host, settings);
    if (const auto begun = context->begin(); !begun) {
      (void)context->finalize();
      return refuse(begun.error().code().value, render(begun.error()));
    }
    return reinterpret_cast<troupe_device_context*>(context.release());
  } catch (const std::exception& failure) {
    return refuse(TROUPE_DEVICE_SYSTEM, runtime::text_of(failure));
  }
}

std::int32_t destroy(troupe_device_context* handle) {
  if (handle == nullptr) return 0;
  const auto code = guarded(handle, [](Context& context) { return context.finalize(); });
  if (code != 0) return code;
  const std::unique_ptr<Context> gone(of(handle));
  return 0;
}

void fill_required(DeviceApi& api) {
  using Handle = troupe_device_context*;
  api.create_device_context = &create;
  api.destroy_device_context = &destroy;
  api.set_device_option = [](Handle handle, const char* name, const char* value) {
    return guarded(handle, [&](Context& context) { return context.set_option(name, value); });
  };
  api.set_device = [](Handle handle, std::int32_t device) {
    return guarded(handle, [&](Context& context) { return context.set_device(device); });
  };
  api.reset_device = [](Handle handle) {
    return guarded(handle, [](Context& context) { return context.reset(); });
  };
  api.finalize_device = [](Handle handle) {
    return guarded(handle, [](Context& context) { return context.finalize(); });
  };
  api.device_malloc_ctx = [](Handle handle, std::uint64_t bytes, std::uint64_t* address) {
    return guarded(handle, [&](Context& context) { return context.allocate(bytes, address); });
  };
  api.device_free_ctx = [](Handle handle, std::uint64_t address) {
    return guarded(handle, [&](Context& context) { return context.free(address); });
  };
  api.copy_to_device_ctx = [](Handle handle, std::uint64_t device, const void* host, std::uint64_t bytes) {
    return guarded(handle, [&](Context& context) {
      return context.copy(true, device, static_cast<std::byte*>(const_cast<void*>(host)), bytes);
    });
  };
  api.copy_from_device_ctx = [](Handle handle, void* host, std::uint64_t device, std::uint64_t bytes) {
    return guarded(handle, [&](Context& context) {
      return context.copy(false, device, static_cast<std::byte*>(host), bytes);
    });
  };
  api.register_callable = [](Handle handle, const troupe_callable* callable, std::uint64_t* id) {
    return guarded(handle, [&](Context& context) { return context.register_callable(callable, id); });
  };
  api.unregister_callable = [](Handle handle, std::uint64_t id) {
    return guarded(handle, [&](Context& context) {
      return context.simple<char>(Kind::unregister_callable, with(id), nullptr);
    });
  };
  api.launch_runs = [](Handle handle, const troupe_run* runs, std::size_t count, std::uint64_t settled) {
    return guarded(handle, [&](Context& context) { return context.launch(runs, count, settled); });
  };
  api.run_runtime = [](Handle handle, const troupe_run* run, troupe_completion* completion) {
    return guarded(handle, [&](Context& context) { return context.run(run, completion); });
  };
  api.abort_runs = [](Handle handle, std::uint64_t correlation) {
    return guarded(handle, [&](Context& context) { return context.abort(correlation); });
  };
  api.device_properties = [](Handle handle, troupe_device_properties* properties) {
    return guarded(handle, [&](Context& context) { return context.properties(properties); });
  };
  api.device_status = [](Handle handle, troupe_device_status* status, troupe_core_status* cores,
                         std::size_t capacity, std::size_t* count) {
    return guarded(handle, [&](Context& context) { return context.status(status, cores, capacity, count); });
  };
  api.device_last_error = [](Handle handle, std::int32_t* code, char* text, std::size_t capacity) {
    if (handle == nullptr) return std::int32_t{TROUPE_DEVICE_INVALID_ARGUMENT};
    of(handle)->last_error(code, text, capacity);
    return std::int32_t{0};
  };
}

void fill_graphs(DeviceApi& api) {
  using Handle = troupe_device_context*;
  api.register_graph = [](Handle handle, const troupe_graph* graph, std::uint64_t* id) {
    return guarded(handle, [&](Context& context) { return context.register_graph(graph, id); });
  };
  api.launch_graph = [](Handle handle, const troupe_run* run, std::uint64_t settled) {
    return guarded(handle, [&](Context& context) { return context.launch_graph(run, settled); });
  };
  api.unregister_graph = [](Handle handle, std::uint64_t id) {
    return guarded(handle, [&](Context& context) {
      return context.simple<char>(Kind::unregister_graph, with(id), nullptr);
    });
  };
}

void fill_windows(DeviceApi& api) {
  using Handle = troupe_device_context*;
  api.window_create = [](Handle handle, const troupe_window_spec* spec, std::uint64_t* window,
                         troupe_window_blob* blob) {
    return guarded(handle, [&](Context& context) { return context.window_create(spec, window, blob); });
  };
  api.window_import = [](Handle handle, std::uint64_t window, std::uint32_t rank,
                         const troupe_window_blob* blob) {
    return guarded(handle, [&](Context& context) { return context.window_import(window, rank, blob); });
  };
  api.window_commit = [](Handle handle, std::uint64_t window, troupe_window_view* view) {
    return guarded(handle, [&](Context& context) {
      if (view == nullptr) return context.null_argument("view");
      const auto code = context.simple(Kind::window_commit, with(window), view);
      if (code == 0) context.forget_window(window);
      return code;
    });
  };
  api.window_abort = [](Handle handle, std::uint64_t window, std::int32_t code, std::uint32_t rank) {
    return guarded(handle, [&](Context& context) {
      context.forget_window(window);
      return context.simple<char>(Kind::window_abort, with(window, code, rank), nullptr);
    });
  };
  api.window_release = [](Handle handle, std::uint64_t window) {
    return guarded(handle, [&](Context& context) {
      context.forget_window(window);
      return context.simple<char>(Kind::window_release, with(window), nullptr);
    });
  };
}

std::uintptr_t number_of(void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

void fill_sessions(DeviceApi& api) {
  using Handle = troupe_device_context*;
  api.comm_init = [](Handle handle, std::int32_t rank, std::int32_t ranks, void* stream,
                     const char* meeting) -> void* {
    void* session = nullptr;
    (void)guarded(handle, [&](Context& context) {
      session = context.comm_init(rank, ranks, stream, meeting);
      return 0;
    });
    return session;
  };
  api.comm_alloc_windows = [](Handle handle, void* comm, std::uint64_t bytes, std::uint64_t* address) {
    return guarded(handle, [&](Context& context) {
      if (address == nullptr) return context.null_argument("context address");
      return context.simple(Kind::comm_alloc_windows, with(number_of(comm), bytes), address);
    });
  };
  api.comm_get_local_window_base = [](Handle handle, void* comm, std::uint64_t* address) {
    return guarded(handle, [&](Context& context) {
      if (address == nullptr) return context.null_argument("address");
      return context.simple(Kind::comm_local_base, with(number_of(comm)), address);
    });
  };
  api.comm_get_window_size = [](Handle handle, void* comm, std::uint64_t* bytes) {
    return guarded(handle, [&](Context& context) {
      if (bytes == nullptr) return context.null_argument("bytes");
      return context.simple(Kind::comm_window_size, with(number_of(comm)), bytes);
    });
  };
  api.comm_barrier = [](Handle handle, void* comm) {
    return guarded(handle, [&](Context& context) {
      return context.simple<char>(Kind::comm_barrier, with(number_of(comm)), nullptr);
    });
  };
  api.comm_destroy = [](Handle handle, void* comm) {
    return guarded(handle, [&](Context& context) {
      return context.simple<char>(Kind::comm_destroy, with(number_of(comm)), nullptr);
    });
  };
  api.comm_abort = [](Handle handle) {
    return guarded(
        handle, [](Context& context) { return context.simple<char>(Kind::comm_abort, Writer(), nullptr); });
  };
  api.ensure_acl_ready_ctx = [](Handle handle, std::int32_t device) {
    return guarded(handle, [&](Context& context) {
      return context.simple<char>(Kind::acl_ready, with(device), nullptr);
    });
  };
  api.create_comm_stream_ctx = [](Handle handle) -> void* {
    std::uintptr_t stream = 0;
    (void)guarded(handle,
                  [&](Context& context) { return context.simple(Kind::create_stream, Writer(), &stream); });
    return reinterpret_cast<void*>(
        stream);  // NOLINT(performance-no-int-to-ptr): only its process looks at it
  };
  api.destroy_comm_stream_ctx = [](Handle handle, void* stream) {
    return guarded(handle, [&](Context& context) {
      return context.simple<char>(Kind::destroy_stream, with(number_of(stream)), nullptr);
    });
  };
}

}  // namespace

DeviceApi table_for(std::shared_ptr<const Settings> settings) {
  DeviceApi api;
  api.name = settings->library;
  fill_required(api);
  fill_graphs(api);
  fill_windows(api);
  fill_sessions(api);
  const auto kept = std::make_shared<const std::shared_ptr<const Settings>>(std::move(settings));
  api.platform_data = kept.get();
  api.keep_alive = kept;
  return api;
}

}  // namespace troupe::platform::isolation
