// The module reader: the bytes are the recipe of a module structure whose numbers and names are anything (its
// pointers stay inside the input: no reader can check those).
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "troupe/runtime/module.hpp"

namespace {

class Recipe {
 public:
  Recipe(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  /// Mostly what a module would have, sometimes anything.
  std::uint32_t number(std::uint32_t usual) {
    if (byte() % 8 != 7) return usual;
    std::uint32_t any = 0;
    for (int i = 0; i < 4; ++i) any = any << 8U | byte();
    return any;
  }
  std::string text() {
    const std::uint8_t length = byte();
    std::string result;
    for (unsigned i = 0; i < length % 32U; ++i) result += static_cast<char>(byte());
    return length > 250 ? std::string(300, 'x') : result;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

std::int32_t nothing(const troupe_program_call_v1*) { return 0; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::runtime;

  Recipe recipe(data, size);
  const std::size_t count = recipe.byte() % 8;
  std::vector<std::string> texts(2 * count + 1);
  std::vector<troupe_callable_v1> callables(count);
  std::vector<const troupe_callable_v1*> entries;
  for (auto& text : texts) text = recipe.text();
  for (std::size_t i = 0; i < count; ++i) {
    troupe_callable_v1& callable = callables[i];
    callable = {recipe.number(sizeof callable),
                recipe.number(1 + static_cast<std::uint32_t>(i) % 4),
                recipe.number(0),
                recipe.number(0),
                texts[2 * i].c_str(),
                texts[2 * i + 1].c_str(),
                {}};
    callable.invoke.program = recipe.byte() == 255 ? nullptr : &nothing;
    if (recipe.byte() == 255) callable.name = nullptr;
    if (recipe.byte() == 255) callable.signature = nullptr;
    entries.push_back(recipe.byte() == 255 ? nullptr : &callable);
  }
  const troupe_module_v1 module{recipe.number(TROUPE_MODULE_MAGIC),
                                recipe.number(TROUPE_MODULE_VERSION),
                                recipe.number(sizeof(troupe_module_v1)),
                                recipe.number(sizeof(troupe_callable_v1)),
                                recipe.byte() == 255 ? nullptr : texts.back().c_str(),
                                entries.data(),
                                entries.data() + entries.size(),
                                nullptr,
                                nullptr,
                                nullptr,
                                nullptr};
  const auto read = Module::from(&module, "fuzzed");
  if (read.has_value() != validate(&module, "fuzzed").has_value()) std::abort();
  if (!read) return 0;
  for (const Callable& callable : read->callables()) {
    if (!read->find(callable.kind(), callable.name())) std::abort();
  }
  return 0;
}
