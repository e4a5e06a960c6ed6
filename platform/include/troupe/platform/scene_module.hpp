#pragma once

// Scenes that live in a module. The module stays loaded for the life of the process. open_scene_module() runs
// code of the module: it must be trusted, and built with these headers. One thread.
// Errors are Results that name the file: load_failed, and those of runtime::Module::open();
// scene_module_main() answers an exit code.

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/platform/scene.hpp"
#include "troupe/runtime/module.hpp"

/// Scenes that live in a module, a shared object next to its kernels and chip programs:
///
///   TROUPE_MODULE("my_kernels");
///   TROUPE_SCENES(scenes) {
///     scenes.push_back({.name = "copy", .callable = "copy", .cases = {{.name = "small"}}, …});
///   }
///
/// `troupe scenes libmy_kernels.so` plays them. Such a module links the platform floor and is built by the
/// same compiler, because a scene carries functions; a module that is only to be run needs neither.
namespace troupe::platform {

/// The table that the macro exports, under the name `troupe_scenes`. The sizes tell a module that was built
/// against other headers before anything in it is called.
struct SceneTable {
  static constexpr std::uint32_t current = 1;
  std::uint32_t version;
  std::uint32_t scene_bytes, case_bytes;
  void (*collect)(std::vector<Scene>& scenes);
};

struct SceneModule {
  runtime::Module module;
  std::vector<Scene> scenes;
};

/// Loads the module for the life of the process and asks it for its scenes. Errors name the file: it cannot
/// be loaded, exports no scenes, or was built against another version.
[[nodiscard]] TROUPE_API Result<SceneModule> open_scene_module(const std::string& file);

/// `scene_main` for the module named by argv[1]; the options follow it. Cases run in processes of their own,
/// for which the program starts itself again: `command` are the words that bring it back to this call, e.g.
/// {"/proc/self/exe", "scenes"}; file and options are added. Answers the exit code, 2 when the module has
/// none.
TROUPE_API int scene_module_main(int argc, char** argv, const std::vector<std::string>& command);

}  // namespace troupe::platform

/// Defines the module's scenes: followed by a function body that fills the vector named here. Once per
/// module.
#define TROUPE_SCENES(scenes)                                                                       \
  static void troupe_collect_scenes(std::vector<::troupe::platform::Scene>& scenes);                \
  extern "C" {                                                                                      \
  extern const ::troupe::platform::SceneTable troupe_scenes __attribute__((visibility("default"))); \
  const ::troupe::platform::SceneTable troupe_scenes = {                                            \
      ::troupe::platform::SceneTable::current, sizeof(::troupe::platform::Scene),                   \
      sizeof(::troupe::platform::SceneCase), &troupe_collect_scenes};                               \
  }                                                                                                 \
  static void troupe_collect_scenes(std::vector<::troupe::platform::Scene>& scenes)
