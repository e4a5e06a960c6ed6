#include "kernels/foreign_kernel.hpp"

#include <dlfcn.h>

#include <string>
#include <utility>

#include "sim_hooks.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

Error cannot_load(std::string_view name, const std::string& why) {
  return Error(Errc::bad_callable, "cannot load kernel '" + std::string(name) + "': " + why,
               "a kernel object is a shared library that exports extern \"C\" void kernel_entry(int64_t*)");
}

}  // namespace

// The plugin is loaded RTLD_LOCAL and the hooks with it; kernels look for them in the global scope.
bool ForeignKernel::publish_hooks() {
  Dl_info hooks;
  if (dladdr(reinterpret_cast<void*>(&pto_sim_get_subblock_id), &hooks) == 0) return false;
  return dlopen(hooks.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD) != nullptr;
}

Result<std::unique_ptr<LoadedCode>> ForeignKernel::load(std::string_view name,
                                                        std::span<const std::byte> object) {
  if (!publish_hooks()) return cannot_load(name, "libtroupe_sim_hooks.so cannot be made global");
  auto loaded = HostObject::load(name, object);
  if (!loaded) return cannot_load(name, loaded.error().message());
  return load(name, *std::move(loaded));
}

Result<std::unique_ptr<LoadedCode>> ForeignKernel::load(std::string_view name, HostObject object) {
  const auto entry = reinterpret_cast<Entry>(object.symbol("kernel_entry"));
  if (entry == nullptr) return cannot_load(name, "it exports no kernel_entry");
  using RegisterHooks = void (*)(void*, void*);
  if (auto take = reinterpret_cast<RegisterHooks>(object.symbol("pto_sim_register_hooks"))) {
    take(reinterpret_cast<void*>(&pto_sim_get_subblock_id),
         reinterpret_cast<void*>(&pto_sim_get_pipe_shared_state));
  }
  return std::unique_ptr<LoadedCode>(new ForeignKernel(std::move(object), entry));
}

}  // namespace troupe::platform::sim
