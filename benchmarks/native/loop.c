// The least that any program must do to write with llama.cpp: decode, sample, decode.
//
// Usage: loop MODEL THREADS STREAMS PROMPT TOKENS CTX [flash]
// For each line on standard input it answers STREAMS prompts of PROMPT tokens with TOKENS tokens each, and
// prints the seconds for the prompts, and for each of four quarters of the rest.

#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void quiet(enum ggml_log_level level, const char * text, void * data) {
    (void) data;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void add(struct llama_batch * batch, llama_token token, int position, int stream, int output) {
    int at = batch->n_tokens++;
    batch->token[at] = token;
    batch->pos[at] = position;
    batch->n_seq_id[at] = 1;
    batch->seq_id[at][0] = stream;
    batch->logits[at] = (int8_t) output;
}

static void decode(struct llama_context * context, struct llama_batch batch) {
    if (llama_decode(context, batch)) {
        fputs("llama_decode failed\n", stderr);
        exit(1);
    }
}

int main(int count, char ** words) {
    if (count != 7 && count != 8) return 2;
    int threads = atoi(words[2]), streams = atoi(words[3]), prompt = atoi(words[4]);
    int tokens = atoi(words[5]), size = atoi(words[6]);
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model * model = llama_model_load_from_file(words[1], llama_model_default_params());
    if (!model) return 1;
    const struct llama_vocab * vocabulary = llama_model_get_vocab(model);
    int known = llama_vocab_n_tokens(vocabulary);
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t) (size * streams);
    params.n_batch = 2048;
    params.n_seq_max = (uint32_t) streams;
    params.n_threads = params.n_threads_batch = threads;
    params.flash_attn_type = count == 8 ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.no_perf = true;
    struct llama_context * context = llama_init_from_model(model, params);
    if (!context) return 1;
    struct llama_batch batch = llama_batch_init(2048, 0, 1);
    struct llama_sampler ** chains = calloc((size_t) streams, sizeof *chains);
    llama_token * next = calloc((size_t) streams, sizeof *next);
    int * places = calloc((size_t) streams, sizeof *places);

    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        llama_memory_clear(llama_get_memory(context), true);
        double began = now();
        for (int stream = 0; stream < streams; stream++) {
            chains[stream] = llama_sampler_chain_init(llama_sampler_chain_default_params());
            llama_sampler_chain_add(chains[stream], llama_sampler_init_top_k(40));
            llama_sampler_chain_add(chains[stream], llama_sampler_init_top_p(0.9f, 1));
            llama_sampler_chain_add(chains[stream], llama_sampler_init_temp(0.8f));
            llama_sampler_chain_add(chains[stream], llama_sampler_init_dist((uint32_t) stream + 1));
            batch.n_tokens = 0;
            for (int at = 0; at < prompt; at++) {
                add(&batch, (at * 7 + stream * 13 + 100) % (known / 2), at, stream, at == prompt - 1);
            }
            decode(context, batch);
            next[stream] = llama_sampler_sample(chains[stream], context, -1);
        }
        double marks[5] = {now()};
        for (int step = 1; step < tokens; step++) {
            batch.n_tokens = 0;
            for (int stream = 0; stream < streams; stream++) {
                places[stream] = batch.n_tokens;
                add(&batch, next[stream], prompt + step - 1, stream, 1);
            }
            decode(context, batch);
            for (int stream = 0; stream < streams; stream++) {
                next[stream] = llama_sampler_sample(chains[stream], context, places[stream]);
                char piece[256];
                llama_token_to_piece(vocabulary, next[stream], piece, sizeof piece, 0, false);
            }
            marks[1 + 4 * (step - 1) / (tokens - 1)] = now();
        }
        for (int stream = 0; stream < streams; stream++) llama_sampler_free(chains[stream]);
        printf("{\"prompt_s\": %.6f, \"quarters_s\": [%.6f, %.6f, %.6f, %.6f]}\n", marks[0] - began,
               marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2], marks[4] - marks[3]);
        fflush(stdout);
    }
    return 0;
}
