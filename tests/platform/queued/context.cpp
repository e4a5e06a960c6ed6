#include "context.hpp"

#include <cstddef>
#include <string_view>

using namespace troupe;
using namespace troupe::test;

std::int32_t Context::register_kernel(const std::string& name, bool foreign, std::uint64_t& id) {
  // Modules stay: kept for the life of the process, as the ABI asks for.
  static constexpr std::string_view code = "gate stuck fail nothing add twice sum";
  static const troupe_device_image_v1 image{sizeof image, TROUPE_IMAGE_PTX, code.data(), code.size(),
                                            "a test"};
  static const troupe_device_image_v1* const images[] = {nullptr, &image};
  static std::map<std::string, troupe_callable_v1> callables;
  static std::vector<const troupe_callable_v1*> entries;
  static troupe_module_v1 module;
  static std::mutex making;
  troupe_callable callable{};
  callable.name = name.c_str();
  const std::string bytes = "kernel_entry=" + name;
  {
    const std::lock_guard lock(making);
    if (!callables.contains(name)) {
      auto& made = callables[name];
      made.size = sizeof made;
      made.kind = name == "program" ? TROUPE_CALLABLE_CHIP_PROGRAM : TROUPE_CALLABLE_KERNEL;
      made.name = callables.find(name)->first.c_str();
      made.signature = "...";
      made.invoke.kernel = [](const troupe_kernel_call_v1*) -> std::int32_t { return TROUPE_FAILED; };
    }
    entries.clear();
    for (const auto& [known, made] : callables) entries.push_back(&made);
    module = {TROUPE_MODULE_MAGIC,
              TROUPE_MODULE_VERSION,
              sizeof module,
              sizeof(troupe_callable_v1),
              "test",
              entries.data(),
              entries.data() + entries.size(),
              nullptr,
              nullptr,
              images,
              images + 2};
    if (foreign) {
      callable.bytes = bytes.data();
      callable.byte_count = bytes.size();
      callable.core_kind = TROUPE_CORE_AIV;
    } else {
      callable.module = &module;
    }
    return register_callable(handle, &callable, &id);
  }
}
