(** rules.md, "One attention layer" and Lemma 10: logits, and what enters neurons, as a direct path and a mean over
    positions for each head. *)

From Coq Require Import Reals Lra Lia List Arith.
From Compact Require Import Spec.Model Spec.General Real.Sums.
Import ListNotations.
Open Scope R_scope.

Section Features.
Variable L : layer.
Notation d := (residual_size L).
Notation n := (head_size L).

(** Features: the outputs, then what enters each neuron. *)
Definition neuron_count : nat := match mlp L with Some N => how_many N | None => 0 end.
Definition feature_map (i f : nat) : R :=
  if Nat.ltb f (outputs L) then unembed L i f else match mlp L with Some N => W_in N i (f - outputs L) | None => 0 end.
Definition feature_bias (f : nat) : R :=
  sum d (fun i => b_attention L i * feature_map i f) +
  match mlp L with
  | None => 0
  | Some N => if Nat.ltb f (outputs L) then sum d (fun i => b_out N i * unembed L i f) else b_in N (f - outputs L)
  end.

(** By position and token: the residual, a query, key or value of a head, and what a value adds to a feature. *)
Definition embedded (p t i : nat) : R := of_token L t i + of_position L p i.
Definition seen_as (W : nat -> nat -> R) (b : nat -> R) (p t h : nat) : R := sum d (fun i => embedded p t i * W i h) + b h.
Definition value_of_head (H : head) (p t f : nat) : R :=
  sum n (fun h => seen_as (head_V H) (head_b_V H) p t h * sum d (fun i => head_O H h i * feature_map i f)).
Definition direct (r q f : nat) : R := sum d (fun i => embedded r q i * feature_map i f) + feature_bias f.

(** The score that the token [q] at [r] gives the token [t] at [p], and what it weighs. *)
Definition scored (H : head) (r q p t : nat) : R :=
  sum n (fun h => seen_as (head_Q H) (head_b_Q H) r q h * seen_as (head_K H) (head_b_K H) p t h).
Definition weighs (H : head) (r q p t : nat) : R := exp (scored H r q p t / sqrt (scale_squared L)).

Variables (x : list nat) (r : nat).
Notation at_ p := (nth p x 0%nat).
Notation seen := (visible L x r).

(** The mean over the positions that are seen of what is at their tokens. *)
Definition denominator (H : head) : R := sum seen (fun p => weighs H r (at_ r) p (at_ p)).
Definition mean_of (H : head) (g : nat -> nat -> R) : R :=
  sum seen (fun p => weighs H r (at_ r) p (at_ p) * g p (at_ p)) / denominator H.

Hypothesis some : (0 < seen)%nat.

Lemma denominator_pos : forall H, 0 < denominator H.
Proof. intros H. apply sum_pos; [intros; apply exp_pos | exact some]. Qed.

Lemma attention_weighs : forall H p, head_attention L x H r p = weighs H r (at_ r) p (at_ p) / denominator H.
Proof. reflexivity. Qed.

Lemma heads_swap : forall (f : head -> nat -> R) (g : nat -> R),
  sum d (fun i => sum_of_heads L (fun H => f H i) * g i) = sum_of_heads L (fun H => sum d (fun i => f H i * g i)).
Proof.
  intros f g. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right].
  - rewrite (sum_ext d _ (fun _ => 0)) by (intros; ring). apply sum_zero.
  - rewrite <- IH, <- sum_plus. apply sum_ext. intros. ring.
Qed.

Lemma heads_ext : forall f g : head -> R, (forall H, f H = g H) -> sum_of_heads L f = sum_of_heads L g.
Proof. intros f g same. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right]; [reflexivity|]. now rewrite same, IH. Qed.

Lemma heads_minus : forall f g : head -> R, sum_of_heads L (fun H => f H - g H) = sum_of_heads L f - sum_of_heads L g.
Proof. intros f g. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right]; [ring|]. rewrite IH. ring. Qed.

Lemma head_adds : forall H f,
  sum d (fun i => sum n (fun h => head_mixed L x H r h * head_O H h i) * feature_map i f) = mean_of H (fun p t => value_of_head H p t f).
Proof.
  intros H f. unfold mean_of, Rdiv. rewrite <- sum_scale_r.
  rewrite (sum_ext d _ (fun i => sum n (fun h => head_mixed L x H r h * (head_O H h i * feature_map i f))))
    by (intros; rewrite <- sum_scale_r; apply sum_ext; intros; ring).
  rewrite sum_swap.
  rewrite (sum_ext n _ (fun h => sum seen (fun p => head_attention L x H r p * (seen_as (head_V H) (head_b_V H) p (at_ p) h
    * sum d (fun i => head_O H h i * feature_map i f))))).
  - rewrite sum_swap. apply sum_ext. intros p _. rewrite sum_scale, attention_weighs. unfold value_of_head, Rdiv. ring.
  - intros h _. rewrite sum_scale. unfold head_mixed. rewrite <- sum_scale_r. apply sum_ext. intros p _.
    unfold read_by, seen_as, entering, embedded. ring.
Qed.

(** A feature of what leaves the heads, but for biases that come after them. *)
Lemma feature_by_heads : forall f,
  sum d (fun i => after_heads L x r i * feature_map i f)
  = sum d (fun i => embedded r (at_ r) i * feature_map i f) + sum d (fun i => b_attention L i * feature_map i f)
    + sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t f)).
Proof.
  intros f. unfold after_heads.
  rewrite (sum_ext d _ (fun i => (entering L x r i * feature_map i f + b_attention L i * feature_map i f)
    + sum_of_heads L (fun H => sum n (fun h => head_mixed L x H r h * head_O H h i)) * feature_map i f)) by (intros; ring).
  rewrite !sum_plus, heads_swap. rewrite (heads_ext _ _ (fun H => head_adds H f)). unfold entering, embedded. ring.
Qed.

(** What enters a neuron. *)
Definition entering_neuron (j : nat) : R :=
  direct r (at_ r) (outputs L + j) + sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t (outputs L + j))).

(** What a neuron adds to an output for each unit of its activation. *)
Definition neuron_adds (j y : nat) : R := match mlp L with Some N => sum d (fun i => W_out N j i * unembed L i y) | None => 0 end.

Lemma active_neuron : forall N j, mlp L = Some N -> active L x N r j = Rmax 0 (entering_neuron j).
Proof.
  intros N j E. unfold active. f_equal. unfold entering_neuron, direct, feature_bias. rewrite E.
  replace (Nat.ltb (outputs L + j) (outputs L)) with false by (symmetry; apply Nat.ltb_ge; lia).
  replace (outputs L + j - outputs L)%nat with j by lia.
  rewrite (sum_ext d _ (fun i => after_heads L x r i * feature_map i (outputs L + j))).
  - rewrite feature_by_heads. ring.
  - intros i _. unfold feature_map. rewrite E. replace (Nat.ltb (outputs L + j) (outputs L)) with false by (symmetry; apply Nat.ltb_ge; lia).
    now replace (outputs L + j - outputs L)%nat with j by lia.
Qed.

Lemma logit_by_heads : forall y, (y < outputs L)%nat ->
  logit_at L x r y = direct r (at_ r) y + b_unembed L y + sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t y))
    + sum neuron_count (fun j => Rmax 0 (entering_neuron j) * neuron_adds j y).
Proof.
  intros y Y. unfold logit_at, leaving, direct, feature_bias, neuron_count, neuron_adds. pose proof (feature_by_heads y) as F.
  assert (small : Nat.ltb y (outputs L) = true) by now apply Nat.ltb_lt.
  rewrite (sum_ext d (fun i => after_heads L x r i * feature_map i y) (fun i => after_heads L x r i * unembed L i y)) in F
    by (intros; unfold feature_map; now rewrite small).
  destruct (mlp L) as [N|] eqn:E.
  - rewrite (sum_ext d _ (fun i => after_heads L x r i * unembed L i y + (b_out N i * unembed L i y + sum (how_many N) (fun j => active L x N r j * (W_out N j i * unembed L i y))))).
    + rewrite !sum_plus, F, sum_swap, small. rewrite (sum_ext (how_many N) _ (fun j => Rmax 0 (entering_neuron j) * sum d (fun i => W_out N j i * unembed L i y))).
      * ring.
      * intros j _. rewrite sum_scale. now rewrite (active_neuron N j E).
    + intros i _. rewrite (sum_ext (how_many N) (fun j => active L x N r j * (W_out N j i * unembed L i y)) (fun j => active L x N r j * W_out N j i * unembed L i y)) by (intros; ring).
      rewrite sum_scale_r. ring.
  - rewrite F. cbn [sum]. ring.
Qed.

Lemma mean_minus : forall H f g, mean_of H (fun p t => f p t - g p t) = mean_of H f - mean_of H g.
Proof.
  intros H f g. unfold mean_of, Rdiv.
  rewrite (sum_ext seen _ (fun p => weighs H r (at_ r) p (at_ p) * f p (at_ p) - weighs H r (at_ r) p (at_ p) * g p (at_ p))) by (intros; ring).
  rewrite sum_minus. ring.
Qed.

Lemma mean_plus : forall H f g, mean_of H (fun p t => f p t + g p t) = mean_of H f + mean_of H g.
Proof.
  intros H f g. unfold mean_of, Rdiv.
  rewrite (sum_ext seen _ (fun p => weighs H r (at_ r) p (at_ p) * f p (at_ p) + weighs H r (at_ r) p (at_ p) * g p (at_ p))) by (intros; ring).
  rewrite sum_plus. ring.
Qed.

Lemma mean_scale : forall H c f, mean_of H (fun p t => c * f p t) = c * mean_of H f.
Proof.
  intros H c f. unfold mean_of, Rdiv.
  rewrite (sum_ext seen _ (fun p => c * (weighs H r (at_ r) p (at_ p) * f p (at_ p)))) by (intros; ring). rewrite sum_scale. ring.
Qed.

Lemma mean_sum : forall H k (f : nat -> nat -> nat -> R), mean_of H (fun p t => sum k (fun j => f j p t)) = sum k (fun j => mean_of H (f j)).
Proof.
  intros H. induction k as [|k IH]; intros f; cbn [sum].
  - unfold mean_of, Rdiv. rewrite (sum_ext seen _ (fun _ => 0)) by (intros; ring). rewrite sum_zero. ring.
  - rewrite (mean_plus H (fun p t => sum k (fun j => f j p t)) (f k)). now rewrite IH.
Qed.

Lemma heads_plus : forall f g : head -> R, sum_of_heads L (fun H => f H + g H) = sum_of_heads L f + sum_of_heads L g.
Proof. intros f g. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right]; [ring|]. rewrite IH. ring. Qed.

Lemma heads_sum : forall k (f : nat -> head -> R) (a : nat -> R),
  sum_of_heads L (fun H => sum k (fun j => a j * f j H)) = sum k (fun j => a j * sum_of_heads L (f j)).
Proof.
  intros k f a. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right].
  - rewrite (sum_ext k _ (fun _ => 0)) by (intros; ring). now rewrite sum_zero.
  - rewrite IH, <- sum_plus. apply sum_ext. intros. ring.
Qed.

(** A difference of features, with a line for each neuron in its place: [slope] times what it adds. *)
Definition bent (slope : nat -> R) (y c : nat) (feature : nat -> R) : R :=
  feature y - feature c + sum neuron_count (fun j => (neuron_adds j y - neuron_adds j c) * slope j * feature (outputs L + j)%nat).

(** Lemma 10, for lines above the neurons that favour [y], below the others. *)
Theorem ahead_by_heads : forall mu y c slope intercept, (y < outputs L)%nat -> (c < outputs L)%nat ->
  (forall j, (j < neuron_count)%nat -> (neuron_adds j y - neuron_adds j c) * Rmax 0 (entering_neuron j)
    <= (neuron_adds j y - neuron_adds j c) * (slope j * entering_neuron j + intercept j)) ->
  logit_at L x r y - logit_at L x r c + mu
  <= bent slope y c (direct r (at_ r)) + (b_unembed L y - b_unembed L c + mu)
     + sum neuron_count (fun j => (neuron_adds j y - neuron_adds j c) * intercept j)
     + sum_of_heads L (fun H => mean_of H (fun p t => bent slope y c (value_of_head H p t))).
Proof.
  intros mu y c slope intercept Y C lines. rewrite !logit_by_heads by assumption.
  set (e j := neuron_adds j y - neuron_adds j c) in *.
  assert (N : sum neuron_count (fun j => Rmax 0 (entering_neuron j) * neuron_adds j y) - sum neuron_count (fun j => Rmax 0 (entering_neuron j) * neuron_adds j c)
    <= sum neuron_count (fun j => e j * slope j * direct r (at_ r) (outputs L + j)) + sum neuron_count (fun j => e j * intercept j)
       + sum neuron_count (fun j => e j * slope j * sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t (outputs L + j))))).
  { rewrite <- sum_minus, <- !sum_plus. apply sum_le. intros j J. specialize (lines j J). fold (e j) in lines.
    apply Rle_trans with (e j * Rmax 0 (entering_neuron j)); [right; unfold e; ring|]. apply Rle_trans with (1 := lines). right.
    unfold entering_neuron. ring. }
  assert (M : sum_of_heads L (fun H => mean_of H (fun p t => bent slope y c (value_of_head H p t)))
    = sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t y)) - sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t c))
      + sum neuron_count (fun j => e j * slope j * sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t (outputs L + j))))).
  { rewrite <- heads_minus, <- (heads_sum neuron_count (fun j H => mean_of H (fun p t => value_of_head H p t (outputs L + j))) (fun j => e j * slope j)), <- heads_plus.
    apply heads_ext. intros H. unfold bent. rewrite (mean_plus H (fun p t => value_of_head H p t y - value_of_head H p t c)), mean_minus. f_equal.
    etransitivity; [exact (mean_sum H neuron_count (fun j p t => e j * slope j * value_of_head H p t (outputs L + j)%nat))|]. apply sum_ext. intros j _.
    apply (mean_scale H (e j * slope j) (fun p t => value_of_head H p t (outputs L + j)%nat)). }
  rewrite M. unfold bent. change (fun j => (neuron_adds j y - neuron_adds j c) * slope j * direct r (at_ r) (outputs L + j)%nat)
    with (fun j => e j * slope j * direct r (at_ r) (outputs L + j)%nat).
  change (fun j => (neuron_adds j y - neuron_adds j c) * intercept j) with (fun j => e j * intercept j). lra.
Qed.

End Features.
