//! What the compiler says and how it ends, seen through the wrapper: live, replayed, coloured, interrupted, failed.

#[path = "diagnostics/endings.rs"]
mod endings;
#[path = "diagnostics/messages.rs"]
mod messages;
#[path = "diagnostics/signals.rs"]
mod signals;
mod space;
#[path = "diagnostics/terminal.rs"]
mod terminal;

/// A source about which both compilers have something to say with -Wall.
const CHATTY: &str =
    "int f(int n)\n{\n    int unused;\n    if (n = 1)\n        return 2;\n    return n;\n}\n";
