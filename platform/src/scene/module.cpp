#include "troupe/platform/scene_module.hpp"

#include <cstdio>
#include <exception>
#include <utility>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/thrown.hpp"

// Scenes out of a shared object.
namespace troupe::platform {

namespace {

constexpr const char* symbol = "troupe_scenes";

Error refused(const std::string& file, const std::string& why, std::string hint = {}) {
  return Error{Errc::load_failed, "the scenes of '" + file + "': " + why, std::move(hint)};
}

}  // namespace

Result<SceneModule> open_scene_module(const std::string& file) {
  auto module = runtime::Module::open(file);
  if (!module) return module.error();
  const auto* table = static_cast<const SceneTable*>(module->symbol(symbol));
  if (table == nullptr) {
    return refused(file, "it exports no symbol '" + std::string{symbol} + "'",
                   "add TROUPE_SCENES(scenes) { … } to one of its source files");
  }
  if (table->version != SceneTable::current || table->scene_bytes != sizeof(Scene) ||
      table->case_bytes != sizeof(SceneCase) || table->collect == nullptr) {
    return refused(file, "it was built against another version of troupe/platform/scene.hpp",
                   "build the module again with the installed headers");
  }
  SceneModule found{*std::move(module), {}};
  try {
    table->collect(found.scenes);
  } catch (const std::exception& error) {
    return refused(file, runtime::text_of(error));
  }
  return found;
}

int scene_module_main(int argc, char** argv, const std::vector<std::string>& command) {
  if (argc < 2) {
    std::fprintf(stderr, "the module with the scenes is missing\n");
    return 2;
  }
  const std::string file = argv[1];
  const auto loaded = open_scene_module(file);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", render(loaded.error()).c_str());
    return 2;
  }
  auto again = command;
  again.push_back(file);
  return scene_main(argc - 1, argv + 1, *loaded->module.raw(), loaded->scenes, again);
}

}  // namespace troupe::platform
