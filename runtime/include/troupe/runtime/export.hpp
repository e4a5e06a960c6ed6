#pragma once

// TROUPE_API marks what a floor's shared library exports. The static twins that platform plugins link are
// compiled with TROUPE_HIDDEN, so nothing of them leaks out of a plugin.
#ifdef TROUPE_HIDDEN
#define TROUPE_API
#else
#define TROUPE_API __attribute__((visibility("default")))
#endif

// Marks a type that is private to its library although it is nested in an exported one: calls to it are
// direct.
#define TROUPE_LOCAL __attribute__((visibility("hidden")))
