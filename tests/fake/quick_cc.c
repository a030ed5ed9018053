/* A compiler for sweeps of ten thousands of runs: as quick as a program can be, with objects that show what they hold.
 *
 *   -c SOURCE     the object says the value of -DVALUE= and the text of v.h, in several pages that end with a mark
 *   -MD -MF F     a depfile as gcc writes it
 *   link          the program lists what its objects say; an object that isn't whole is an error, as it is for ld
 *
 * Objects are truncated and written piece by piece, as GNU as does it. Everything else (the probes) goes to gcc.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char END[] = "\nend of object\n";

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "quick-cc: error: %s: %s\n", path, what);
    exit(1);
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(1 << 20);
    size_t length;
    if (!file)
        fail("cannot be read", path);
    length = fread(text, 1, (1 << 20) - 1, file);
    text[length] = 0;
    fclose(file);
    return text;
}

static void put(int out, const char *text)
{
    size_t length = strlen(text);
    while (length) {
        ssize_t n = write(out, text, length);
        if (n < 0) {
            perror("quick-cc: error: write");
            exit(1);
        }
        text += n;
        length -= (size_t)n;
    }
}

static void compile(const char *source, const char *output, const char *value, const char *depfile, const char *target)
{
    static char line[4096], filler[5000];
    char *header;
    int out;
    free(read_all(source));
    header = read_all("v.h");
    if ((out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666)) < 0)
        fail("cannot be written", output);
    snprintf(line, sizeof line, "object %s %s %s\n", source, value, header);
    put(out, line);
    memset(filler, '.', sizeof filler - 1);
    put(out, filler);
    put(out, END);
    close(out);
    if (depfile) {
        FILE *file = fopen(depfile, "w");
        if (!file)
            fail("cannot be written", depfile);
        fprintf(file, "%s: %s v.h\n", target ? target : output, source);
        fclose(file);
    }
}

static void link_all(char **inputs, int count, const char *output, int relocatable)
{
    static char program[1 << 16];
    size_t used = 0;
    int out, n;
    for (n = 0; n < count; n++) {
        char *text = read_all(inputs[n]);
        char *end = strstr(text, END);
        if (strncmp(text, "object ", 7) || !end)
            fail("file truncated", inputs[n]);
        used += (size_t)snprintf(program + used, sizeof program - used, "%.*s\n", (int)strcspn(text + 7, "\n"), text + 7);
        free(text);
    }
    unlink(output);
    if ((out = open(output, O_WRONLY | O_CREAT | O_TRUNC, relocatable ? 0666 : 0777)) < 0)
        fail("cannot be written", output);
    if (relocatable) {
        for (n = 0; program[n]; n++)
            if (program[n] == '\n')
                program[n] = ' ';
        put(out, "object ");
    }
    put(out, program);
    if (relocatable)
        put(out, END);
    close(out);
}

/* A single response file in place of all words, with blanks between words and a backslash before any odd byte. */
static int respond(int argc, char ***argv)
{
    char *from = read_all((*argv)[1] + 1), *to = from, **words = calloc(1000, sizeof *words);
    (void)argc;
    words[0] = (*argv)[0];
    for (argc = 1; argc < 999;) {
        while (*from == ' ' || *from == '\n')
            from++;
        if (!*from)
            break;
        words[argc++] = to;
        while (*from && *from != ' ' && *from != '\n') {
            if (*from == '\\' && from[1])
                from++;
            *to++ = *from++;
        }
        if (*from)
            from++;
        *to++ = 0;
    }
    *argv = words;
    return argc;
}

int main(int argc, char **argv)
{
    const char *output = NULL, *value = "none", *depfile = NULL, *target = NULL, *real = getenv("REAL_CC");
    char **inputs;
    int n, count = 0, compiles = 0, relocatable = 0, probe = 0;
    if (argc == 2 && argv[1][0] == '@')
        argc = respond(argc, &argv);
    inputs = calloc((size_t)argc, sizeof *inputs);
    for (n = 1; n < argc; n++) {
        const char *word = argv[n];
        if (!strcmp(word, "-c"))
            compiles = 1;
        else if (!strcmp(word, "-r"))
            relocatable = 1;
        else if (!strcmp(word, "-o") && n + 1 < argc)
            output = argv[++n];
        else if (!strcmp(word, "-MF") && n + 1 < argc)
            depfile = argv[++n];
        else if ((!strcmp(word, "-MQ") || !strcmp(word, "-MT")) && n + 1 < argc)
            target = argv[++n];
        else if ((!strcmp(word, "-dumpdir") || !strcmp(word, "-dumpbase") || !strcmp(word, "-dumpbase-ext")) && n + 1 < argc)
            n++;
        else if (!strcmp(word, "--coverage"))
            continue;
        else if (!strncmp(word, "-DVALUE=", 8))
            value = word + 8;
        else if (!strcmp(word, "-E") || !strcmp(word, "-v") || !strcmp(word, "-###") || !strcmp(word, "-x")
                 || !strncmp(word, "--", 2) || !strncmp(word, "-print", 6) || !strncmp(word, "-dump", 5))
            probe = 1;
        else if (word[0] != '-')
            inputs[count++] = argv[n];
    }
    if (probe || !count || !output) {
        argv[0] = (char *)(real ? real : "gcc");
        execvp(argv[0], argv);
        perror("quick-cc: error: gcc");
        return 1;
    }
    if (compiles)
        compile(inputs[0], output, value, depfile, target);
    else
        link_all(inputs, count, output, relocatable);
    return 0;
}
