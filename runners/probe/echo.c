/* A worker that answers what it is told: the number in the case's file score.txt, or 0.5 without such a file.
 *
 * For the two standing self-checks of an examination, which run the whole road with an image of our own: a
 * container that is told the truth must score 1, and one that always says the same must score 0.5. Cases of
 * vendors never hold such a file.
 *
 * Build: gcc -static -O1 -o echo echo.c
 */
#include <stdio.h>
#include <string.h>

static char line[1 << 22];

int main(void) {
    puts("{\"ready\": true}");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char name[65], path[128];
        double score = 0.5;
        const char *start = strstr(line, "\"case\":\"");
        if (!start || sscanf(start + 8, "%64[^\"]", name) != 1)
            return 2;
        snprintf(path, sizeof path, "/input/%s/score.txt", name);
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%lf", &score) != 1)
                return 3;
            fclose(file);
        }
        printf("{\"case\": \"%s\", \"answer\": {\"score\": %.17g}}\n", name, score);
        fflush(stdout);
    }
    return 0;
}
