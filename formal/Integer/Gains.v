(** rules.md, separable_counts, "Gains": at each position and token what no wrong token of a class gains more. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp.
From Compact Require Import Integer.Numerators Integer.QueryWeights Count.Walk Count.Pairs Facts.
Import ListNotations.
Open Scope Z_scope.

(** ** The members of a class among all outputs *)

Definition mask_of (v : nat) (set : Z) : list bool := map (fun y => Z.testbit set (Z.of_nat y)) (seq 0 v).

Fixpoint rank (mask : list bool) (y : nat) : nat :=
  match mask, y with b :: mask', S y' => ((if b then 1 else 0) + rank mask' y')%nat | _, _ => 0%nat end.

Definition size_of (mask : list bool) : nat := length (filter (fun b => b) mask).

Lemma select_size : forall mask row, length row = length mask -> length (select mask row) = size_of mask.
Proof.
  unfold size_of. induction mask as [|b mask IH]; intros [|x row] L; try discriminate; [reflexivity|]. cbn [select filter].
  destruct b; cbn [length]; rewrite IH by (simpl in L; lia); reflexivity.
Qed.

Lemma rank_small : forall mask y, nth y mask false = true -> (rank mask y < size_of mask)%nat.
Proof.
  unfold size_of. induction mask as [|b mask IH]; intros y T; [destruct y; discriminate|]. destruct y as [|y]; cbn [nth] in T.
  - subst b. cbn. lia.
  - specialize (IH y T). cbn [rank filter]. destruct b; cbn [length]; lia.
Qed.

Lemma select_rank : forall mask y row, nth y mask false = true -> length row = length mask ->
  nth (rank mask y) (select mask row) 0 = nth y row 0.
Proof.
  induction mask as [|b mask IH]; intros y row T L; [destruct y; discriminate|]. destruct row as [|x row]; [discriminate|].
  destruct y as [|y]; cbn [nth] in T.
  - subst b. reflexivity.
  - cbn [rank select nth]. destruct b; cbn [Nat.add nth]; apply IH; assumption || (simpl in L; lia).
Qed.

Lemma mask_length : forall v set, length (mask_of v set) = v.
Proof. intros. unfold mask_of. now rewrite map_length, seq_length. Qed.

Lemma mask_at : forall v set y, (y < v)%nat -> nth y (mask_of v set) false = Z.testbit set (Z.of_nat y).
Proof.
  intros. unfold mask_of. rewrite (nth_map _ _ _ (seq 0 v) y 0%nat) by now rewrite seq_length. now rewrite seq_nth by assumption.
Qed.

(** ** Classes *)

(** The factors of a class, 1 for each if there are none. *)
Definition factors_fit (v : nat) (one : list Z) : bool :=
  match tl one with
  | [] => true
  | factors => Nat.eqb (length factors) (size_of (mask_of v (hd 0 one))) && forallb (fun c => 0 <? c) factors
  end.

Definition scaled (factors row : list Z) : list Z := match factors with [] => row | _ => zip Z.mul factors row end.

Definition factor_of (v : nat) (one : list Z) (y : nat) : Z :=
  match tl one with [] => 1 | factors => nth (rank (mask_of v (hd 0 one)) y) factors 0 end.

(** Of a class, how far a row is ahead of a number. *)
Definition ahead_of (mask : list bool) (factors : list Z) (T : list (list Z)) (r : nat) (own : Z) : list Z :=
  scaled factors (map (fun x => x - own) (select mask (nth r T []))).

(** Gains by pool and token, and for each query what it adds to these, and what its own position gives. *)
Record class_gains := Class_gains { of_token : list (list Z); of_queries : list (nat * (Z * Z)) }.

(** [pool_of] has a pool for each position before the query. *)
Definition positions_of (pool_of : list nat) (i : nat) : list nat :=
  filter (fun p => Nat.eqb (nth p pool_of 0%nat) i) (seq 0 (length pool_of)).

Definition gains_of (N : numerators) (v m : nat) (pool_of : list nat) (pools : nat) (queries : list nat) (one : list Z) : class_gains :=
  let mask := mask_of v (hd 0 one) in
  let ahead := ahead_of mask (tl one) in
  let direct q := ahead (EU N) q (get (EL N) q m - margin_of N) in
  let place p := ahead (PU N) p (get (PL N) p m) in
  let values := map (fun t => ahead (VU N) t (get (VL N) t m)) (seq 0 (S m)) in
  let centre := extreme Z.max (map direct queries) in
  let best a b := largest (plus a b) in
  let last := plus centre (place (length pool_of)) in
  {| of_token := map (fun i =>
       let from := plus centre (extreme Z.max (map place (positions_of pool_of i))) in
       map (fun value => best value from) values) (seq 0 pools);
     of_queries := map (fun q => (q, (largest (zip Z.sub (direct q) centre), best (nth q values []) last))) queries |}.

Lemma nth_largest : forall l i, (i < length l)%nat -> nth i l 0 <= largest l.
Proof. intros l i I. apply largest_ge, nth_In, I. Qed.

Lemma extreme_nth : forall n vectors a i, Forall (fun b => length b = n) vectors -> In a vectors -> (i < n)%nat ->
  length (extreme Z.max vectors) = n /\ nth i a 0 <= nth i (extreme Z.max vectors) 0.
Proof.
  intros n vectors a i U I small. destruct (extreme_max n vectors a U I) as [L B]. split; [exact L|].
  apply (Forall2_nth _ _ _ _ _ 0 0 i) in B; [exact B | lia].
Qed.

Lemma positions_of_spec : forall pool_of p, (p < length pool_of)%nat -> In p (positions_of pool_of (nth p pool_of 0%nat)).
Proof. intros. unfold positions_of. apply filter_In. split; [apply in_seq; lia | apply Nat.eqb_refl]. Qed.

Lemma positions_of_small : forall pool_of i p, In p (positions_of pool_of i) -> (p < length pool_of)%nat.
Proof. intros pool_of i p I. unfold positions_of in I. apply filter_In in I. destruct I as [I _]. apply in_seq in I. lia. Qed.

Section Sound.
Variables (w : weights) (margin : fraction) (e bits : Z).
Hypothesis good : well_formed w = true.
Hypothesis fraction_ok : 0 < snd margin.
Hypothesis natural : 0 <= bits.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation N := (numerators_of w margin e bits).
Notation mu := (value_of margin).
Variables (m pools : nat) (pool_of : list nat).
Hypothesis m_small : (m < v)%nat.
Hypothesis places : length pool_of = (k - 1)%nat.
Hypothesis in_a_pool : Forall (fun i => (i < pools)%nat) pool_of.

Lemma before_query : (length pool_of < k)%nat.
Proof. rewrite places. destruct (sizes w good) as (_ & _ & _ & K). lia. Qed.

Lemma pool_small : forall p, (p < length pool_of)%nat -> (nth p pool_of 0 < pools)%nat.
Proof. intros p P. rewrite Forall_forall in in_a_pool. apply in_a_pool, nth_In, P. Qed.

(** *** Gains of a class *)

Section Class.
Variables (one : list Z) (queries : list nat).
Hypothesis fits : factors_fit v one = true.
Hypothesis queries_small : Forall (fun q => (q <= m)%nat) queries.
Variables (y : nat).
Hypothesis y_small : (y < v)%nat.
Hypothesis y_in : Z.testbit (hd 0 one) (Z.of_nat y) = true.
Notation mask := (mask_of v (hd 0 one)).
Notation c := (factor_of v one y).
Notation G := (gains_of N v m pool_of pools queries one).

Lemma factor_pos : 0 < c.
Proof.
  unfold factor_of. unfold factors_fit in fits. destruct (tl one) as [|c0 cs] eqn:E; [lia|].
  apply andb_prop in fits. destruct fits as [L all]. apply Nat.eqb_eq in L. rewrite forallb_forall in all.
  apply Z.ltb_lt, all, nth_In. rewrite L. apply rank_small. rewrite mask_at by assumption. exact y_in.
Qed.

Lemma ahead_at : forall T r own, length (nth r T []) = v ->
  length (ahead_of mask (tl one) T r own) = size_of mask /\
  nth (rank mask y) (ahead_of mask (tl one) T r own) 0 = c * (get T r y - own).
Proof.
  intros T r own L. unfold ahead_of, factor_of, scaled.
  assert (T' : nth y mask false = true) by now rewrite mask_at.
  assert (Lm : length (nth r T []) = length mask) by now rewrite mask_length.
  assert (Ls : length (map (fun x => x - own) (select mask (nth r T []))) = size_of mask)
    by (rewrite map_length; now apply select_size).
  pose proof (rank_small mask y T') as R.
  assert (E : nth (rank mask y) (map (fun x => x - own) (select mask (nth r T []))) 0 = get T r y - own).
  { rewrite (nth_map _ _ _ _ _ 0) by (rewrite select_size; assumption). rewrite select_rank by assumption. reflexivity. }
  unfold factors_fit in fits. destruct (tl one) as [|c0 cs]; [split; [exact Ls | lia]|].
  apply andb_prop in fits. destruct fits as [Lc _]. apply Nat.eqb_eq in Lc. split; [now apply zip_length|].
  rewrite zip_nth by lia. now rewrite E.
Qed.

Lemma table_rows : forall q t p, (q < v)%nat -> (t < v)%nat -> (p < k)%nat ->
  length (nth q (EU N) []) = v /\ length (nth t (VU N) []) = v /\ length (nth p (PU N) []) = v.
Proof. intros q t p Q T P. exact (sums_length w margin e bits good q p t Q P T). Qed.

Lemma some_place : (0 < k)%nat.
Proof. destruct (sizes w good) as (_ & _ & _ & K). exact K. Qed.

Notation ahead := (ahead_of mask (tl one)).
Notation direct := (fun q => ahead (EU N) q (get (EL N) q m - margin_of N)).
Notation place := (fun p => ahead (PU N) p (get (PL N) p m)).
Notation values := (map (fun t => ahead (VU N) t (get (VL N) t m)) (seq 0 (S m))).
Notation centre := (extreme Z.max (map direct queries)).
Notation j := (rank mask y).

Lemma j_small : (j < size_of mask)%nat.
Proof. apply rank_small. now rewrite mask_at. Qed.

Lemma directs_uniform : Forall (fun b => length b = size_of mask) (map direct queries).
Proof.
  rewrite Forall_map. revert queries_small. apply Forall_impl. intros q Q.
  apply ahead_at, (table_rows q 0 0); [lia | lia | apply some_place].
Qed.

Lemma centre_at : forall q, In q queries -> length centre = size_of mask /\ nth j (direct q) 0 <= nth j centre 0.
Proof.
  intros q I. apply extreme_nth; [apply directs_uniform | now apply (in_map direct) | apply j_small].
Qed.

Lemma value_at : forall t, (t <= m)%nat -> nth t values [] = ahead (VU N) t (get (VL N) t m) /\
  length (nth t values []) = size_of mask /\ nth j (nth t values []) 0 = c * (get (VU N) t y - get (VL N) t m).
Proof.
  intros t T. rewrite (nth_map _ _ _ (seq 0 (S m)) t 0%nat) by (rewrite seq_length; lia). rewrite seq_nth by lia. cbn [Nat.add].
  split; [reflexivity|]. apply ahead_at, (table_rows 0 t 0); [lia | lia | apply some_place].
Qed.

Lemma best_at : forall a b, length a = size_of mask -> length b = size_of mask -> nth j a 0 + nth j b 0 <= largest (plus a b).
Proof.
  intros a b A B. pose proof j_small as J. rewrite <- zip_nth by lia. apply nth_largest. rewrite (zip_length _ _ _ (size_of mask)); assumption.
Qed.

Lemma own_at : forall q, In q queries -> nth j (direct q) 0 - nth j centre 0 <= largest (zip Z.sub (direct q) centre).
Proof.
  intros q I. destruct (centre_at q I) as [L _]. pose proof directs_uniform as U. rewrite Forall_map, Forall_forall in U.
  specialize (U q I). pose proof j_small as J. cbv beta in *. rewrite <- (zip_nth Z.sub) by lia. apply nth_largest.
  rewrite (zip_length _ _ _ (size_of mask)); assumption.
Qed.

Lemma gain_entry : forall q p t, (q <= m)%nat -> (p < k)%nat -> (t <= m)%nat ->
  nth y (gains_at N q m p t) 0 = get (EU N) q y + get (VU N) t y + get (PU N) p y
    - (get (EL N) q m + get (VL N) t m + get (PL N) p m - margin_of N).
Proof.
  intros q p t Q P T. destruct (table_rows q t p ltac:(lia) ltac:(lia) P) as (A & B & C). unfold gains_at.
  rewrite (nth_map _ _ _ _ _ 0) by (rewrite (zip_length _ _ _ v); [exact y_small | now apply zip_length | assumption]).
  rewrite zip_nth by (rewrite ?(zip_length _ _ _ v); auto; lia). rewrite zip_nth by lia. reflexivity.
Qed.

Lemma direct_entry : forall q, (q <= m)%nat -> nth j (direct q) 0 = c * (get (EU N) q y - (get (EL N) q m - margin_of N)).
Proof. intros q Q. apply ahead_at, (table_rows q 0 0); [lia | lia | apply some_place]. Qed.

Lemma place_entry : forall p, (p < k)%nat -> length (place p) = size_of mask /\ nth j (place p) 0 = c * (get (PU N) p y - get (PL N) p m).
Proof. intros p P. apply ahead_at, (table_rows 0 0 p); [lia | lia | exact P]. Qed.

Lemma query_small : forall q, In q queries -> (q <= m)%nat.
Proof. intros q I. rewrite Forall_forall in queries_small. now apply queries_small. Qed.

(** Before the query. *)
Lemma gains_before : forall q own at_own p t, In (q, (own, at_own)) (of_queries G) -> (p < length pool_of)%nat -> (t <= m)%nat ->
  c * nth y (gains_at N q m p t) 0 <= nth t (nth (nth p pool_of 0%nat) (of_token G) []) 0 + own.
Proof.
  intros q own at_own p t I P T. unfold gains_of in I. cbn [of_queries] in I. apply in_map_iff in I. destruct I as (q' & E & I).
  assert (q' = q) by exact (f_equal fst E). subst q'.
  match type of E with (_, (?a, _)) = _ => assert (O' : own = a) by exact (eq_sym (f_equal (fun x => fst (snd x)) E)) end.
  clear E. subst own. pose proof (query_small q I) as Q. pose proof before_query as B.
  rewrite gain_entry by lia. unfold gains_of. cbn [of_token].
  pose proof (pool_small p P) as S. set (i := nth p pool_of 0%nat) in *.
  rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
  destruct (value_at t T) as (_ & Lv & Ev).
  rewrite (nth_map _ _ _ values t []) by (rewrite map_length, seq_length; lia).
  destruct (centre_at q I) as [Lc Ec]. pose proof (own_at q I) as O. cbv beta in O, Ec. rewrite (direct_entry q Q) in O, Ec.
  destruct (place_entry p ltac:(lia)) as [Lp Ep].
  assert (U : Forall (fun b => length b = size_of mask) (map place (positions_of pool_of i))).
  { rewrite Forall_map. apply Forall_forall. intros p' I'. apply positions_of_small in I'. apply place_entry. lia. }
  destruct (extreme_nth _ _ (place p) j U (in_map place _ p (positions_of_spec pool_of p P)) j_small) as [Lx Ex].
  rewrite Ep in Ex.
  pose proof (best_at (nth t values []) (plus centre (extreme Z.max (map place (positions_of pool_of i)))) Lv
    ltac:(now apply zip_length)) as Best.
  pose proof j_small as J. rewrite (zip_nth Z.add centre) in Best by lia. rewrite Ev in Best. lia.
Qed.

(** At the position of the query. *)
Lemma gains_at_query : forall q own at_own, In (q, (own, at_own)) (of_queries G) ->
  c * nth y (gains_at N q m (length pool_of) q) 0 <= at_own + own.
Proof.
  intros q own at_own I. unfold gains_of in I. cbn [of_queries] in I. apply in_map_iff in I. destruct I as (q' & E & I).
  assert (q' = q) by exact (f_equal fst E). subst q'.
  match type of E with (_, (?a, ?b)) = _ =>
    assert (O' : own = a) by exact (eq_sym (f_equal (fun x => fst (snd x)) E));
    assert (A' : at_own = b) by exact (eq_sym (f_equal (fun x => snd (snd x)) E)) end.
  clear E. subst own at_own. pose proof (query_small q I) as Q. pose proof before_query as B.
  rewrite gain_entry by lia. destruct (value_at q Q) as (_ & Lv & Ev).
  destruct (centre_at q I) as [Lc Ec]. pose proof (own_at q I) as O. cbv beta in O, Ec. rewrite (direct_entry q Q) in O, Ec.
  destruct (place_entry (length pool_of) B) as [Lp Ep].
  pose proof (best_at (nth q values []) (plus centre (place (length pool_of))) Lv ltac:(now apply zip_length)) as Best.
  pose proof j_small as J. cbv beta in *. rewrite (zip_nth Z.add centre) in Best by lia. rewrite Ev, Ep in Best. lia.
Qed.
End Class.
End Sound.
